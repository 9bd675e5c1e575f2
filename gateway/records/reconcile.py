"""Finds what the database does not know, or knows though it is gone.  Blocking."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from gateway.records import call_table
from gateway.records.bundles import Bundles
from gateway.records.disk import call_ids

_AFTER_ANY_ID = "~"


def queue_unknown(day: Path, bundles: Bundles, db: Connection) -> int:
    """Queue the bundles of a day that the database has not, or not as finished.

    Also those that an object store is to get and has not.

    Returns:
        How many the database did not know.  Raises OSError.
    """
    prefix = day.name.replace("-", "")
    known = call_table.ids(db, prefix, prefix + _AFTER_ANY_ID)
    unknown = 0
    for call_id in call_ids(day):
        is_known = known.get(call_id) == "finished"
        unknown += call_id not in known
        if not is_known or (bundles.has_store and not bundles.local.is_stored(call_id)):
            bundles.to_index.put(call_id)
    return unknown


def queue_all(bundles: Bundles) -> int:
    """Queue every bundle on disk; gives how many.  Raises OSError."""
    count = 0
    for day in bundles.local.days():
        for call_id in call_ids(day):
            bundles.to_index.put(call_id, once=True)
            count += 1
    return count


def forget_lost(bundles: Bundles, db: Connection) -> None:
    """Delete the rows of calls whose bundle is neither here nor in a store.

    For SQLite only, whose file lies beside the bundles: a copy of it that was put back must not
    bring back what was deleted since.
    """
    for call_id in call_table.unstored_ids(db):
        if not bundles.local.folder(call_id).exists():
            call_table.remove(db, call_id)
