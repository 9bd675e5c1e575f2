"""Voice detection: one file per engine."""
