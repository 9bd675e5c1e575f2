"""Processes: supervisor, worker, and what they say to each other."""
