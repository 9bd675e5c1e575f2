"""Pure turn-taking, driven by audio time.  No I/O, no clock, no loop."""
