"""A trained model made faster: which filters matter least, the curve of work against quality, and the smaller model."""
