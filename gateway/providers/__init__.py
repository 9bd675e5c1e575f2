"""Engines: one file per recognizer, language model and synthesizer."""
