"""Learning from scans that nobody has labelled: a network's encoder is trained to clean or complete them, and a refinement starts from it."""
