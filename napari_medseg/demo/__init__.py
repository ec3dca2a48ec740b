"""The main job on the sample data, end to end, and its report."""
