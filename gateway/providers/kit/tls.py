"""Authorities that a connection to a vendor trusts: the system's, or one of the operator's."""

from __future__ import annotations

import ssl
from pathlib import Path

from gateway.threads import BlockingEngine

_MOST_LOADED = 16
_loaded: dict[tuple[Path | None, int], ssl.SSLContext] = {}
"""By file and its time of change.  Loop thread only."""


async def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return the TLS settings of a client; they are loaded once, beside the event loop.

    Args:
        ca_file: PEM file with the only authorities to trust; None = the system's.  A file that
            has changed is read again.

    Raises:
        OSError: the file cannot be read, or (`ssl.SSLError`) holds no certificate.
    """
    key = _key(ca_file)
    if key not in _loaded:
        engine = BlockingEngine("tls")
        try:
            found = await engine.call(_load, ca_file)
        finally:
            engine.close()
        while len(_loaded) >= _MOST_LOADED:
            del _loaded[next(iter(_loaded))]
        _loaded[key] = found
    return _loaded[key]


def _key(ca_file: Path | None) -> tuple[Path | None, int]:
    return ca_file, ca_file.stat().st_mtime_ns if ca_file is not None else 0


def _load(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)
