"""What a check found, with secrets kept out of it.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Level = Literal["ok", "warn", "fail", "skip"]
"""`warn` = calls work, but worse or less safely than they could; `skip` = not examined."""


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
    """Report that all is well."""
    return Finding(name, "ok", cause)


def warn(name: str, cause: str, fix: str) -> Finding:
    """Report that it works, but not as well or as safely as it could."""
    return Finding(name, "warn", cause, fix)


def fail(name: str, cause: str, fix: str) -> Finding:
    """Report that calls fail or will fail because of it."""
    return Finding(name, "fail", cause, fix)


def skip(name: str, cause: str, fix: str = "") -> Finding:
    """Report that it was not checked, and why."""
    return Finding(name, "skip", cause, fix)


def counted(number: int, noun: str) -> str:
    """Return `1 trunk`, `2 trunks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


_SHORTEST = 3
"""Replacing single letters would make the report unreadable and hide nothing."""


def without_secrets(finding: Finding, secrets: Iterable[str]) -> Finding:
    """Return the finding with every secret replaced by `***`."""
    cause, fix = finding.cause, finding.fix
    for secret in sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True):
        cause, fix = cause.replace(secret, "***"), fix.replace(secret, "***")
    return replace(finding, cause=cause, fix=fix)
