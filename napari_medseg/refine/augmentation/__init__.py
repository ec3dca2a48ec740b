"""Batches made harder while they are learnt from: mixed with each other, or as worse scanners would have made them."""
