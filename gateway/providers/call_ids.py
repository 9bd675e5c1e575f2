"""Ids of tool calls: the server's own, or one of ours where it sent none or one that is taken."""

from __future__ import annotations

from collections.abc import Callable
from uuid import NAMESPACE_OID, uuid5

_SHORT = 9


def free_call_id(wanted: str, is_taken: Callable[[str], bool]) -> str:
    """Return an id that no other call has: the same for the same calls, so that requests agree."""
    free, tries = wanted, 0
    while not free or is_taken(free):
        tries += 1
        # Mistral takes exactly nine alphanumerics, the others anything.
        free = uuid5(NAMESPACE_OID, f"{wanted} {tries}").hex[:_SHORT]
    return free


def short_id(wanted: str) -> str:
    """Return an id as Mistral takes it, itself if it is one: nine letters and digits."""
    if len(wanted) == _SHORT and wanted.isascii() and wanted.isalnum():
        return wanted
    return uuid5(NAMESPACE_OID, wanted).hex[:_SHORT]
