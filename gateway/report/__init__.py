"""`gateway report`: figures of finished calls, side by side for the variants of a split.  Pure."""
