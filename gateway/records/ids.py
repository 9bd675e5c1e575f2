"""Call ids (sortable by time, unique, fit for a folder name) and where bundles lie.  Pure."""

from __future__ import annotations

import re
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path

_CALL_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}", re.ASCII)
_STAMP = "%Y%m%d-%H%M%S"


def new_call_id(now: datetime) -> str:
    """Make an id such as `20261120-132233-9f03ab7c` (UTC date, UTC time, 32 random bits)."""
    return f"{id_prefix(now)}-{secrets.token_hex(4)}"


def id_prefix(at: datetime) -> str:
    """Return what the ids begin with that are made at this second; earlier ones are less."""
    return f"{at.astimezone(UTC):{_STAMP}}"


def host_name(configured: str) -> str:
    """Return the name of this gateway among those that share a database (`records.host`)."""
    return configured or socket.gethostname()


def is_call_id(text: str) -> bool:
    """Return whether `text` is one of our ids; only then may it become part of a path."""
    return _CALL_ID.fullmatch(text) is not None and _stamp_of(text) is not None


def started_at(call_id: str) -> datetime:
    """Return the UTC second at which the id was made.

    Raises:
        ValueError: not one of our ids.
    """
    stamp = _stamp_of(call_id) if _CALL_ID.fullmatch(call_id) else None
    if stamp is None:
        raise ValueError(f"not a call id: {call_id!r}")
    return stamp


def bundle_folder(directory: Path, call_id: str) -> Path:
    """Return `directory/YYYY-MM-DD/<call_id>`.  Raises ValueError if it is no id of ours."""
    return directory / f"{started_at(call_id):%Y-%m-%d}" / call_id


def _stamp_of(call_id: str) -> datetime | None:
    try:
        return datetime.strptime(call_id[:15], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
