"""What the archive may be asked for, and what it gives.  Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gateway.records.ids import is_call_id
from gateway.records.model import CallSummary

MAX_LISTED = 1000
Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 2, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC)),
]


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """An `audio.wav` that comes from the object store."""

    size_bytes: int
    chunks: AsyncIterator[bytes]


class CallQuery(BaseModel):
    """Filters, each None = any; newest calls first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Literal["active", "finished"] | None = None
    caller: str | None = Field(None, max_length=256)
    called: str | None = Field(None, max_length=256)
    agent: str | None = Field(None, max_length=128)
    host: str | None = Field(None, max_length=256)
    since: Moment | None = None
    """Started then or later."""
    until: Moment | None = None
    """Started before."""
    cursor: str | None = None
    """The last call of the page before."""
    limit: int = Field(50, ge=1, le=MAX_LISTED)

    def matches(self, call: CallSummary) -> bool:
        """Return whether a call is to be listed, the same way as the database does."""
        for name in ("state", "caller", "called", "agent", "host"):
            wanted = getattr(self, name)
            if wanted is not None and getattr(call, name) != wanted:
                return False
        if self.since is not None and call.started_at < self.since:
            return False
        if self.until is not None and call.started_at >= self.until:
            return False
        return self.cursor is None or call.call_id < self.cursor

    @property
    def has_bad_cursor(self) -> bool:
        """True when the cursor is none of ours."""
        return self.cursor is not None and not is_call_id(self.cursor)
