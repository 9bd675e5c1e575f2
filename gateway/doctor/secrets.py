"""Keeps secrets out of the report, whatever a server repeats in its errors.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pydantic import BaseModel, SecretStr

from gateway.doctor.finding import Finding

_SHORTEST = 3
"""Replacing single letters would make the report unreadable and hide nothing."""


def secrets_of(value: object) -> Iterator[str]:
    """Yield every secret at any depth: `SecretStr`, and what engines send as HTTP headers."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name))
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "headers" and isinstance(item, dict):
                yield from map(str, item.values())
            yield from secrets_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secrets_of(item)


def without_secrets(finding: Finding, secrets: Iterable[str]) -> Finding:
    """Give the finding with every secret replaced by `***`."""
    cause, fix = finding.cause, finding.fix
    for secret in sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True):
        cause, fix = cause.replace(secret, "***"), fix.replace(secret, "***")
    return replace(finding, cause=cause, fix=fix)
