"""Logs, metrics and what the process itself uses."""
