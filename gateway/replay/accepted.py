"""Accepted decisions: what this version decides in a call, kept beside it for regression tests.

A bundle that is a test keeps what it recorded; when turn taking changes on purpose, its decisions
are accepted anew instead of edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gateway.replay.recording import Decision, NotReplayable

DECISIONS_FILE = "decisions.json"
_TALKS = TypeAdapter(list[list[Decision]])


def read_accepted(folder: Path) -> list[list[Decision]] | None:
    """Read the accepted decisions of each conversation; None when there are none.

    Raises:
        NotReplayable: the file is damaged.
    """
    path = folder / DECISIONS_FILE
    try:
        return _TALKS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise NotReplayable(f"{path}: cannot be read: {error}") from error


def write_accepted(folder: Path, talks: Sequence[Sequence[Decision]]) -> None:
    """Keep decisions.

    Raises:
        NotReplayable: the disk refuses.
    """
    path = folder / DECISIONS_FILE
    content = _TALKS.dump_json([list(talk) for talk in talks], indent=1) + b"\n"
    try:
        path.write_bytes(content)
    except OSError as error:
        raise NotReplayable(f"cannot write {path}: {error.strerror or error}") from error
