"""What goes between a server and its clients: arrays, frames, scans, prompts and answers. Never a pickle."""
