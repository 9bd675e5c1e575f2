"""Replay: a recorded call through turn taking again, on audio time, as it was or set otherwise."""
