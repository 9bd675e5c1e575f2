"""Ids of tool calls: the server's own, or one of ours where it sent none or one that is taken."""

from __future__ import annotations

from collections.abc import Callable
from uuid import NAMESPACE_OID, uuid5


def free_call_id(wanted: str, is_taken: Callable[[str], bool]) -> str:
    """Return an id that no other call has: the same for the same calls, so that requests agree."""
    free, tries = wanted, 0
    while not free or is_taken(free):
        tries += 1
        # Mistral takes exactly nine alphanumerics, the others anything.
        free = uuid5(NAMESPACE_OID, f"{wanted} {tries}").hex[:9]
    return free
