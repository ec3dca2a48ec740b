"""A trained network made smaller: which channels hang together, which are kept, and a dense network of those alone."""
