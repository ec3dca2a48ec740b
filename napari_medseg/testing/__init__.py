"""The simulated annotator, synthetic cohorts, and the suites that every part, ours or a third party's, must pass."""
