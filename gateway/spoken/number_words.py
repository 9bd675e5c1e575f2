"""Numbers of one language in words, by num2words."""

from __future__ import annotations

import re
from functools import cached_property

from babel import Locale, UnknownLocaleError
from num2words import num2words

from gateway.languages.reading import Reading

_LONGEST = 12
"""Digits of a number that is read as one."""
_YEARS = range(1100, 2000)
"""Numbers of four digits that are rather years."""


class NumberWords:
    """Reads numbers as a language writes them: thousands grouped, a comma or a point between."""

    def __init__(self, code: str, tag: str, reading: Reading) -> None:
        self._code = code
        self._reading = reading
        groups = f"[{re.escape(reading.group_by)}\u00a0\u202f]"
        self._grouped = re.compile(rf"\d{{1,3}}(?:{groups}\d{{3}})+(?:,\d+)?")
        self.pattern = rf"(?:\d{{1,3}}(?:{groups}\d{{3}})+(?!\d)(?:,\d+)?|\d+(?:[.,]\d+)?)"
        """Of a number, without its sign."""
        self._tag = tag

    @cached_property
    def locale(self) -> Locale:
        """CLDR's data of the language, of its region where that is known."""
        for tag in (self._tag, self._code):
            try:
                return Locale.parse(tag, sep="-")
            except (UnknownLocaleError, ValueError):
                continue
        return Locale("en")

    def is_grouped(self, written: str) -> bool:
        """Return whether digits are a number whose thousands are grouped."""
        return self._grouped.fullmatch(written) is not None

    def parts(self, written: str) -> tuple[int, str]:
        """Return the whole part, and the digits behind the comma."""
        if self._grouped.fullmatch(written):
            whole, _, fraction = written.partition(",")
            return int(re.sub(r"\D", "", whole)), fraction
        whole, _, fraction = written.replace(",", ".").partition(".")
        return int(whole[:40]), fraction

    def cardinal(self, number: int) -> str:
        """Read a whole number; digit by digit where it is too long for one."""
        if number >= 10**_LONGEST:
            return self.digits(str(number))
        return self._words(number, "cardinal")

    def ordinal(self, number: int) -> str:
        """Read an ordinal, masculine."""
        return self._words(number, "ordinal")

    def feminine_ordinal(self, number: int) -> str:
        """Read an ordinal whose words end in -o, feminine."""
        return re.sub(r"o\b", "a", self.ordinal(number))

    def year(self, number: int) -> str:
        """Read a year."""
        return self._words(number, "year")

    def counted(self, number: int) -> str:
        """Read how many of a unit."""
        return self._reading.one if number == 1 else self.cardinal(number)

    def counted_number(self, written: str) -> str:
        """Read how many of a unit, of a number as it is written."""
        whole, fraction = self.parts(written)
        return self.number(written) if fraction else self.counted(whole)

    def number(self, written: str) -> str:
        """Read a number as it is written."""
        whole, fraction = self.parts(written)
        said = self.cardinal(whole)
        return f"{said} {self._reading.decimal} {self.digits(fraction)}" if fraction else said

    def plain(self, written: str) -> str:
        """Read a number that stands alone."""
        whole, fraction = self.parts(written)
        if fraction:
            return self.number(written)
        if whole in self._reading.keep:
            return written
        is_year = len(written) == 4 and whole in _YEARS
        return self.year(whole) if is_year else self.cardinal(whole)

    def digits(self, written: str) -> str:
        """Read one digit after the other."""
        return " ".join(self._words(int(digit), "cardinal") for digit in written)

    def _words(self, number: int, to: str) -> str:
        try:
            said: str = num2words(number, lang=self._code, to=to)
        except (NotImplementedError, OverflowError):
            said = num2words(number, lang=self._code)
        return re.sub(r"[,\s]+", " ", said)
