"""Speech to speech: one file per engine."""
