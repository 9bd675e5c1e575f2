"""Every statement that the call database gets.  Blocking; one connection per function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import ARRAY, JSON, Text

from gateway.records.ids import id_prefix
from gateway.records.model import CallRecord, CallSummary
from gateway.records.query import CallQuery
from gateway.records.tables import CALLS, DELETIONS, HOSTS, utc

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_ID_MARGIN = timedelta(hours=1)
"""A call starts when its id was made; a clock that is set in between may say otherwise."""


@dataclass(frozen=True, slots=True)
class Found:
    """A call and where its bundle is."""

    record: CallRecord
    host: str
    has_audio: bool
    is_stored: bool


@dataclass(frozen=True, slots=True)
class OldCall:
    """A call that is kept no longer, or its audio."""

    call_id: str
    host: str
    is_stored: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What the database says about a call."""

    state: str
    has_audio: bool


def write(db: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert or replace calls; what is known to be stored stays so."""
    if not rows:
        return
    insert = _insert(db, CALLS).values(list(rows))
    changed = {c.name: insert.excluded[c.name] for c in CALLS.columns if not c.primary_key}
    db.execute(insert.on_conflict_do_update(index_elements=["call_id"], set_=changed))


def search(db: Connection, query: CallQuery) -> list[CallSummary]:
    """List calls without their turns, newest first."""
    wanted = select(_without_turns(db)).where(*_conditions(query))
    rows = db.execute(wanted.order_by(CALLS.c.call_id.desc()).limit(query.limit))
    return [CallSummary.model_validate(call) for (call,) in rows]


def records(db: Connection, query: CallQuery) -> list[CallRecord]:
    """List calls with their turns, newest first."""
    wanted = select(CALLS.c.call).where(*_conditions(query))
    rows = db.execute(wanted.order_by(CALLS.c.call_id.desc()).limit(query.limit))
    return [CallRecord.model_validate(call) for (call,) in rows]


def find(db: Connection, call_id: str) -> Found | None:
    """Return one call."""
    columns = (CALLS.c.call, CALLS.c.host, CALLS.c.has_audio, CALLS.c.is_stored)
    row = db.execute(select(*columns).where(CALLS.c.call_id == call_id)).one_or_none()
    if row is None:
        return None
    return Found(CallRecord.model_validate(row.call), row.host, row.has_audio, row.is_stored)


def of_party(db: Connection, party: str) -> list[tuple[str, str]]:
    """List (call id, state) of every call from or to a party."""
    is_theirs = or_(CALLS.c.caller == party, CALLS.c.called == party)
    rows = db.execute(select(CALLS.c.call_id, CALLS.c.state).where(is_theirs))
    return [(row.call_id, row.state) for row in rows.all()]


def ids(db: Connection, first: str, last: str) -> dict[str, Known]:
    """Return what is known of the calls between two ids (a prefix is less than all it begins)."""
    between = CALLS.c.call_id >= first, CALLS.c.call_id <= last
    wanted = select(CALLS.c.call_id, CALLS.c.state, CALLS.c.has_audio).where(*between)
    return {row.call_id: Known(row.state, row.has_audio) for row in db.execute(wanted)}


def unstored_ids(db: Connection) -> list[str]:
    """List the calls that are in no object store."""
    return list(db.scalars(select(CALLS.c.call_id).where(~CALLS.c.is_stored)))


def remove(db: Connection, call_id: str, host_to_tell: str | None = None) -> None:
    """Delete a call; `host_to_tell` still has its bundle on disk."""
    if host_to_tell is not None:
        insert = _insert(db, DELETIONS).values(call_id=call_id, host=host_to_tell)
        db.execute(insert.on_conflict_do_nothing())
    db.execute(delete(CALLS).where(CALLS.c.call_id == call_id))


def remove_unstored(db: Connection, call_id: str) -> None:
    """Delete a call whose bundle is gone, unless a store has it."""
    db.execute(delete(CALLS).where(CALLS.c.call_id == call_id, ~CALLS.c.is_stored))


def deletions_of(db: Connection, host: str) -> list[str]:
    """List what a host has to take off its disk."""
    wanted = select(DELETIONS.c.call_id).where(DELETIONS.c.host == host)
    return list(db.scalars(wanted))


def deletions(db: Connection) -> dict[str, str]:
    """Return call -> host of every bundle that still has to be taken off a disk."""
    return {row.call_id: row.host for row in db.execute(select(DELETIONS))}


def deletion_done(db: Connection, call_id: str) -> None:
    """Forget a deletion that was done."""
    db.execute(delete(DELETIONS).where(DELETIONS.c.call_id == call_id))


def is_deleted(db: Connection, call_ids: Sequence[str]) -> set[str]:
    """Return which of these calls were deleted elsewhere and must not come back."""
    wanted = select(DELETIONS.c.call_id).where(DELETIONS.c.call_id.in_(call_ids))
    return set(db.scalars(wanted))


def older_than(
    db: Connection,
    before: datetime,
    hosts: Sequence[str] | None,
    *,
    audio_only: bool,
    limit: int,
    after: str = "",
) -> list[OldCall]:
    """List finished calls that began before a moment, the oldest first.

    Args:
        db: connection.
        before: the moment.
        hosts: of these gateways; None = of all.
        audio_only: only those that still have audio.
        limit: how many at most.
        after: only those with a greater id.
    """
    wanted = select(CALLS.c.call_id, CALLS.c.host, CALLS.c.is_stored).where(
        CALLS.c.state == "finished", CALLS.c.started_at < utc(before), CALLS.c.call_id > after
    )
    if hosts is not None:
        wanted = wanted.where(CALLS.c.host.in_(hosts))
    if audio_only:
        wanted = wanted.where(CALLS.c.has_audio)
    rows = db.execute(wanted.order_by(CALLS.c.call_id).limit(limit))
    return [OldCall(row.call_id, row.host, row.is_stored) for row in rows]


def audio_is_gone(db: Connection, call_id: str) -> None:
    """Note that a call's audio was deleted."""
    db.execute(update(CALLS).where(CALLS.c.call_id == call_id).values(has_audio=False))


def present(db: Connection) -> datetime:
    """Return the database's own time."""
    return _aware(db.scalars(select(func.now())).one())


def newest_before(db: Connection, moment: datetime) -> datetime | None:
    """Return when the newest call began that began before a moment."""
    newest = select(func.max(CALLS.c.started_at)).where(CALLS.c.started_at < utc(moment))
    found = db.scalar(newest)
    return None if found is None else _aware(found)


def beat(db: Connection, host: str, now: datetime | None = None) -> None:
    """Record that a gateway is alive, by the database's clock unless another time is given."""
    seen_at = func.now() if now is None else utc(now)
    insert = _insert(db, HOSTS).values(host=host, seen_at=seen_at)
    changed = {"seen_at": insert.excluded.seen_at}
    db.execute(insert.on_conflict_do_update(index_elements=["host"], set_=changed))


def leave(db: Connection, host: str) -> None:
    """Record that a gateway has ended and that the database knows all its calls."""
    db.execute(update(HOSTS).where(HOSTS.c.host == host).values(seen_at=_LONG_AGO))


def hosts_that_may_know_more(db: Connection, silent: timedelta, gone: timedelta) -> list[str]:
    """List gateways that do not reach the database just now, but did not long ago."""
    now = present(db)
    between = HOSTS.c.seen_at < utc(now - silent), HOSTS.c.seen_at >= utc(now - gone)
    return list(db.scalars(select(HOSTS.c.host).where(*between).order_by(HOSTS.c.host)))


def signs_of_life(db: Connection) -> dict[str, datetime]:
    """Return host -> when it last said that it is alive, by the database's clock."""
    return {row.host: _aware(row.seen_at) for row in db.execute(select(HOSTS))}


def hosts_unseen_for(db: Connection, age: timedelta) -> list[str]:
    """List gateways without a sign of life for `age`, by the database's clock."""
    before = present(db) - age
    return list(db.scalars(select(HOSTS.c.host).where(HOSTS.c.seen_at < utc(before))))


def active_of(db: Connection, hosts: Sequence[str]) -> list[Found]:
    """List the calls that some gateways had at their last sign of life."""
    columns = (CALLS.c.call, CALLS.c.host, CALLS.c.has_audio, CALLS.c.is_stored)
    wanted = select(*columns).where(CALLS.c.state == "active", CALLS.c.host.in_(hosts))
    return [
        Found(CallRecord.model_validate(row.call), row.host, row.has_audio, row.is_stored)
        for row in db.execute(wanted)
    ]


def _aware(found: datetime) -> datetime:
    """SQLite gives UTC without saying so."""
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _conditions(query: CallQuery) -> list[ColumnElement[bool]]:
    equal = ("state", "caller", "called", "agent", "host")
    found = [
        CALLS.c[name] == getattr(query, name) for name in equal if getattr(query, name) is not None
    ]
    # An id begins with the time at which it was made: so the primary key narrows the search.
    if query.since is not None:
        found.append(CALLS.c.call_id >= id_prefix(query.since - _ID_MARGIN))
        found.append(CALLS.c.started_at >= utc(query.since))
    if query.until is not None:
        found.append(CALLS.c.call_id < id_prefix(query.until + _ID_MARGIN))
        found.append(CALLS.c.started_at < utc(query.until))
    if query.cursor is not None:
        found.append(CALLS.c.call_id < query.cursor)
    return found


def _without_turns(db: Connection) -> ColumnElement[Any]:
    """Leave what makes a call long to the database."""
    if db.dialect.name == "sqlite":
        return type_coerce(func.json_remove(CALLS.c.call, "$.turns", "$.transcript"), JSON)
    keys = cast(literal(["turns", "transcript"], ARRAY(Text)), ARRAY(Text))
    return type_coerce(CALLS.c.call.op("-")(keys), JSON)


def _insert(db: Connection, table: Table) -> sqlite.Insert:
    """Both dialects' insert has the same methods, without a common base."""
    dialect: Any = sqlite if db.dialect.name == "sqlite" else postgresql
    insert: sqlite.Insert = dialect.insert(table)
    return insert
