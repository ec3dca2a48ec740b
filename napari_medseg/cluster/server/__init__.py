"""A machine with a graphics card, for others: scans are kept for a while, the catalogue's segmenters run on one thread a device, answers go back in boxes."""
