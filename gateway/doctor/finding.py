"""What a check found.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail", "skip"]
"""`warn` = calls work, but worse or less safely than they could; `skip` = not looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    """What was looked at, such as `sip port` or `trunk carrier`."""
    level: Level
    cause: str
    """What is so, in plain words."""
    fix: str = ""
    """What to do about it; empty when there is nothing to do."""


def ok(name: str, cause: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", cause)


def warn(name: str, cause: str, fix: str) -> Finding:
    """It works, but not as well or as safely as it could."""
    return Finding(name, "warn", cause, fix)


def fail(name: str, cause: str, fix: str) -> Finding:
    """Calls fail or will fail because of it."""
    return Finding(name, "fail", cause, fix)


def skip(name: str, cause: str, fix: str = "") -> Finding:
    """It was not looked at, and why."""
    return Finding(name, "skip", cause, fix)
