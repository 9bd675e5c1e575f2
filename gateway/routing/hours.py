"""Hours of the day and days of the week, as rules name them.  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time
from typing import Self

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMED = {"night": "22:00-06:00", "day": "06:00-22:00"}
_FORM = re.compile(
    r"(?:(?P<days>[a-z]{3}(?:[-,][a-z]{3})*)\s+)?(?P<since>\d{1,2}:\d\d)-(?P<until>\d{1,2}:\d\d)",
    re.IGNORECASE,
)
_FORMS = '"22:00-06:00", "mon-fri 08:00-18:00", "night" or "day"'


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of each day, on some days of the week; one over midnight belongs to its first day."""

    days: frozenset[int]
    """0 = Monday."""
    since: time
    until: time

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read such as `mon-fri 08:00-18:00`.  Raises ValueError: it cannot be read."""
        found = _FORM.fullmatch(_NAMED.get(text.strip().lower(), text.strip()))
        if found is None:
            raise ValueError(f'must be such as {_FORMS}, not "{text}"')
        days = frozenset(_days(found["days"].lower())) if found["days"] else frozenset(range(7))
        since, until = _time(found["since"], text), _time(found["until"], text)
        if since == until:
            raise ValueError("begins when it ends: leave it out")
        return cls(days, since, until)

    def hold(self, now: datetime) -> bool:
        """Return whether a local time is within them."""
        at, day = now.time(), now.weekday()
        if self.since < self.until:
            return day in self.days and self.since <= at < self.until
        yesterday = (day - 1) % 7
        return (day in self.days and at >= self.since) or (
            yesterday in self.days and at < self.until
        )


def _days(text: str) -> list[int]:
    days: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            begin = _DAYS.index(first)
            end = _DAYS.index(last) if last else begin
        except ValueError:
            raise ValueError(f'no day "{part}": write {", ".join(_DAYS)}') from None
        days += [day % 7 for day in range(begin, end + 1 + (7 if end < begin else 0))]
    return days


def _time(text: str, whole: str) -> time:
    try:
        return time.fromisoformat(text.zfill(5))
    except ValueError:
        raise ValueError(f'"{text}" in "{whole}" is no time of day') from None
