"""Weak labels: level set, scribbles, clean-up, interpolation; engines that yield partial results."""
