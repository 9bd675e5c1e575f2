"""Speech to text: one file per engine."""
