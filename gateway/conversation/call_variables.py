"""Values of a call's placeholders.

The caller writes many of them, a model reads them and a voice speaks them: each is one short line.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from babel.core import Locale, UnknownLocaleError
from babel.dates import format_date, format_time

from gateway.call.line import CallFacts
from gateway.placeholders import Values, filled

_MAX_CHARACTERS = 200


def local_now(timezone: str = "") -> datetime:
    """Read the clock, in a time zone or the machine's own."""
    return datetime.now(ZoneInfo(timezone)) if timezone else datetime.now().astimezone()


def values_of(facts: CallFacts, now: datetime, language: str = "en") -> Values:
    """Return the value of every placeholder of a call."""
    locale = _locale(language)
    date = format_date(now, "EEEE, d MMMM y", locale=locale)
    time = format_time(now, "HH:mm", locale=locale)
    known = {
        "called": facts.called,
        "caller": facts.caller,
        "trunk": facts.trunk,
        "now": f"{date}, {time}",
        "date": date,
        "time": time,
    }
    known |= {f"header.{name.lower()}": value for name, value in facts.headers.items()}
    known |= {f"var.{name}": value for name, value in facts.variables.items()}
    return Values({name: _one_line(value) for name, value in known.items()})


def filled_text(text: str, facts: CallFacts, now: datetime, language: str = "en") -> str:
    """Fill an agent's greeting or instructions."""
    if "{" not in text:
        return text
    values = values_of(facts, now, language)
    return filled(text, lambda name: values.get(name, f"{{{name}}}"))


def _one_line(value: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in value)
    return " ".join(printable.split())[:_MAX_CHARACTERS]


def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale("en")
