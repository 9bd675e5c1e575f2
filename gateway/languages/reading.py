"""`reading.toml`: how numbers, dates, times, sums and signs are read aloud."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.languages.entries import Texts

Word = Annotated[str, Field(min_length=1)]
Forms = tuple[Word, Word]
"""Singular and plural."""


class Dates(Texts):
    """Dates; the names of months come from CLDR."""

    spoken: Word
    """With {day}, {month} and {year}."""
    without_year: Word
    """With {day} and {month}."""
    day: Literal["cardinal", "ordinal"]
    first: str = ""
    """The first of a month; empty = as the other days."""
    ending: str = ""
    """Of an ordinal day."""
    ending_after: dict[str, str] = Field(default_factory=dict)
    """The same behind a word in small letters, such as am = "n"."""


class Times(Texts):
    """Times of day, of 24 hours."""

    full: Word
    """With {hour}: 9:00."""
    full_one: str = ""
    """The same of the hour 1; empty = `full`."""
    with_minutes: Word
    """With {hour} and {minute}: 9:30."""
    one: Word
    """How the hour 1 is read."""
    marks: tuple[Word, ...]
    """What is written behind a time: Uhr."""
    between: tuple[Word, ...] = ()
    """What is written between hour and minute besides a colon: h."""


class Sums(Texts):
    """Sums of money."""

    joint: Word
    """Between the unit and the cents; a blank at each end."""
    units: dict[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], Forms]
    """By code; others are named as CLDR does."""
    cents: dict[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], Forms]


class Ordinals(Texts):
    """Ordinal numbers in digits."""

    marks: tuple[Word, ...] = ()
    """What is written behind the digits."""
    feminine_marks: tuple[Word, ...] = ()
    """Those whose word ends in -a, not -o."""


class Reading(Texts):
    """Everything that is read in words."""

    decimal: Word
    minus: Word
    plus: Word
    range: Word
    """Between two numbers: "9-17"."""
    percent: Word
    at: Word
    """In a mail address."""
    dot: Word
    """In an address."""
    one: Word
    """The number 1 before a unit."""
    group_by: Word
    """Characters that may stand between thousands."""
    keep: tuple[int, ...] = (1,)
    """Numbers that are left in digits, because their word depends on what is counted."""
    signs: dict[Word, Word]
    """Single signs between blanks."""
    abbreviations: dict[Word, Word]
    units: dict[Word, Forms]
    """Behind a number."""
    dates: Dates
    times: Times
    sums: Sums
    ordinals: Ordinals = Ordinals()
