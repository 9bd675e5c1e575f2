"""Whether an engine runs here or behind a network, where it may come up later."""

from __future__ import annotations


def is_remote(engine: object) -> bool:
    """Return whether an engine is a vendor's: it has sessions, or says so (`is_remote = True`)."""
    return hasattr(engine, "open_session") or bool(getattr(engine, "is_remote", False))
