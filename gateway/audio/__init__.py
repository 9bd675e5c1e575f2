"""Audio as values: formats, levels, codecs, rates, frames.  Pure and sync."""
