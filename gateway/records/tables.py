"""The tables of the call database; `migrations/` makes them, a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json
from sqlalchemy import JSON, Boolean, Column, DateTime, Index, MetaData, String, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from gateway.records.model import CallRecord

metadata = MetaData()

CALLS = Table(
    "calls",
    metadata,
    Column("call_id", String(32), primary_key=True),
    Column("host", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("caller", Text, nullable=False),
    Column("called", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("has_audio", Boolean, nullable=False),
    Column("is_stored", Boolean, nullable=False),
    Column("call", JSON().with_variant(JSONB(), "postgresql"), nullable=False),
    Index("ix_calls_caller", "caller"),
    Index("ix_calls_called", "called"),
    Index("ix_calls_started_at", "started_at"),
    Index("ix_calls_state_host", "state", "host"),
)
"""One row per call.  An id begins with its date and time, so its order is the order in time."""

HOSTS = Table(
    "hosts",
    metadata,
    Column("host", Text, primary_key=True),
    Column("seen_at", DateTime(timezone=True), nullable=False),
)
"""When each gateway was last alive."""

DELETIONS = Table(
    "deletions",
    metadata,
    Column("call_id", String(32), primary_key=True),
    Column("host", Text, nullable=False, index=True),
)
"""Bundles that a gateway still has to take off its own disk."""


def row_of(record: CallRecord, host: str, *, has_audio: bool, is_stored: bool) -> dict[str, Any]:
    """Return the row of a call.  Pure.

    Args:
        record: as `call.json`.
        host: of the gateway that has the bundle, where the record names none.
        has_audio: there is an `audio.wav`.
        is_stored: the bundle is in the object store.
    """
    # PostgreSQL takes no NUL in texts, a SIP header may hold one.
    call = from_json(record.model_dump_json().replace("\\u0000", "\\ufffd"))
    call["host"] = call["host"] or host
    columns = ("call_id", "host", "state", "direction", "caller", "called", "agent")
    return {
        **{name: call[name] for name in columns},
        "started_at": utc(record.started_at),
        "has_audio": has_audio,
        "is_stored": is_stored,
        "call": call,
    }


def utc(at: datetime) -> datetime:
    """Return the same moment in UTC: SQLite compares dates as texts, without their zones."""
    return at.astimezone(UTC)
