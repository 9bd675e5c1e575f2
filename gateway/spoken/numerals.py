"""Numbers in words, as an American reads them.  num2words knows the words."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from num2words import num2words

from gateway.spoken.rules import alternatives

GROUPED = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"
PLAIN = r"\d+(?:\.\d+)?"
NUMBER = rf"(?:{GROUPED}|{PLAIN}|\.\d+)"
"""As English writes a number, without its sign."""
ANY_NUMBER = (
    r"(?:\d{1,3}(?:\.\d{3})+(?:,\d{1,2})?(?![\d.,]*\d)|\d{1,3}(?:,\d{3})+(?:\.\d+)?"
    r"|\d+,\d{1,2}(?!\d)|\d+(?:\.\d+)?|\.\d+)"
)
"""As any of Europe and America writes an amount."""
DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MAGNITUDES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million",
    "mio": "million", "bn": "billion", "B": "billion", "b": "billion", "T": "trillion",
    "thousand": "thousand", "million": "million", "billion": "billion", "trillion": "trillion",
}  # fmt: skip
MAGNITUDE = alternatives(MAGNITUDES)
_LONGEST = 15
"""Digits of a number that is read as one."""
_MILLIONS = {6: "million", 9: "billion", 12: "trillion"}
_DECIMAL_COMMA = re.compile(r"(?:\d{1,3}(?:\.\d{3})+|\d+),\d{1,2}")
_THOUSANDS_POINT = re.compile(r"\d{1,3}(?:\.\d{3})+")


class Amount(NamedTuple):
    """A number as it was written: whole part, and the digits behind the point."""

    whole: int
    fraction: str = ""

    @property
    def is_one(self) -> bool:
        """True for what takes the singular."""
        return self.whole == 1 and not self.fraction

    @property
    def words(self) -> str:
        """Read it: "one thousand two hundred", "three point one four"."""
        said = cardinal(self.whole)
        return f"{said} point {digits(self.fraction)}" if self.fraction else said


def amount(written: str) -> Amount:
    """Read a number however its thousands are grouped."""
    if _DECIMAL_COMMA.fullmatch(written):
        written = written.replace(".", "").replace(",", ".")
    elif _THOUSANDS_POINT.fullmatch(written):
        written = written.replace(".", "")
    return plain_amount(written)


def plain_amount(written: str) -> Amount:
    """Read a number that is written the English way."""
    whole, _, fraction = written.replace(",", "").partition(".")
    return Amount(int(whole[:40] or "0"), fraction)


@lru_cache(2048)
def cardinal(number: int) -> str:
    """Read a whole number; "two and a half million" where that is shorter."""
    if number >= 10**_LONGEST:
        return digits(str(number))
    for zeros, name in _MILLIONS.items():
        if number % 10**zeros == 5 * 10 ** (zeros - 1) and 0 < number // 10**zeros < 1000:
            return f"{_plain(num2words(number // 10**zeros))} and a half {name}"
    return _plain(num2words(number))


@lru_cache(512)
def ordinal(number: int) -> str:
    """Read "twenty eighth"."""
    return _plain(num2words(number, to="ordinal"))


@lru_cache(512)
def year(number: int) -> str:
    """Read "twenty twenty six", "nineteen oh five", "two thousand five"."""
    return _plain(num2words(number, to="year"))


def digits(written: str) -> str:
    """Read one digit after the other; whatever else is in it is left out."""
    return " ".join(DIGIT_WORDS[int(c)] for c in written if c in "0123456789")


def decimal(written: str) -> str:
    """Read a number that is written the English way; "007" digit by digit."""
    whole, _, _ = written.partition(".")
    if len(whole) > 1 and whole.startswith("0"):
        return " point ".join(digits(part) for part in written.split("."))
    return plain_amount(written).words


def _plain(words: str) -> str:
    """American, and without what only the eye needs."""
    return re.sub(r"\s+and\s+(?!a half)", " ", re.sub(r"[,-]+ ?", " ", words)).strip()
