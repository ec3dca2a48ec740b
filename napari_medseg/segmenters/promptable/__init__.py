"""A network that outlines what it is pointed at, and all it needs to be asked."""
