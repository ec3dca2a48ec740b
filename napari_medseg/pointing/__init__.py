"""What is pointed at, outlined by a network and by the strokes' solver together."""
