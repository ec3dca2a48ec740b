"""The other side of `server`: segmenters that run on another machine and are used like any other."""
