"""The same functions elsewhere: a server with the graphics card, a cohort overnight, an archive of scans. Who works on one machine needs nothing of it."""
