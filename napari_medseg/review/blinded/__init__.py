"""Blinded choice: which of two masks is better, asked without telling whose they are."""
