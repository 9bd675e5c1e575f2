"""Entries of `edge.hosts`.  Pure."""

from __future__ import annotations


def read_host(entry: str, port: int, workers: int) -> tuple[str, int, int]:
    """Read an entry of `edge.hosts`: `host`, `host*workers`, `host:sip_port*workers`.

    Returns:
        Host, its `sip.port`, number of its workers.

    Raises:
        ValueError: it cannot be read; says how it must be.
    """
    where, star, count = entry.partition("*")
    host, colon, own_port = where.partition(":")
    numbers = [text for text, mark in ((count, star), (own_port, colon)) if mark]
    if not host or not all(text.isdecimal() and 0 < int(text) < 65536 for text in numbers):
        raise ValueError(f'must be like "10.0.0.2" or "10.0.0.2*8", not "{entry}"')
    return host, int(own_port or port), int(count or workers)
