"""CallNotes: what a vendor wants back with its tool calls, beside name and arguments.  Pure.

Signatures of thoughts, thinking blocks, encrypted reasoning: opaque, never spoken, useless to any
other model.  They travel as the `Memo` of a reply; where one is lost (a reply was cut off, another
model has answered meanwhile) the vendor's protocol knows how to do without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.providers.contracts import Memo

_MOST = 64
"""Calls; the history is not longer."""


@dataclass(frozen=True, slots=True)
class CallNotes:
    """By the id of each call."""

    owner: str = ""
    """Which model has made them."""
    by_call: tuple[tuple[str, object], ...] = ()

    def of(self, call_id: str) -> object:
        """Return the note of a call, None where there is none."""
        return dict(self.by_call).get(call_id)

    def memo(self, more: Mapping[str, object]) -> Memo:
        """Return the memo of a reply that has made further calls."""
        return Memo(replace(self, by_call=(*self.by_call, *more.items())[-_MOST:]))


def notes_in(memo: object, owner: str) -> CallNotes:
    """Return the notes in a request's memo; none where another model has made them."""
    return memo if isinstance(memo, CallNotes) and memo.owner == owner else CallNotes(owner)
