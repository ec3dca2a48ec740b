"""Proof that labels are good: blinded choice, agreement between annotators, comparison of models, and the report."""
