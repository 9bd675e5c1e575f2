"""Languages with a `reading.toml`: numbers, dates, times and sums in words.

num2words knows the words of numbers, CLDR (babel) the names of months and currencies; what a
language does with them stands in `gateway/languages/CODE/reading.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial

from babel.numbers import get_currency_name

from gateway.languages import language
from gateway.languages.reading import Reading
from gateway.spoken.characters import voiced
from gateway.spoken.number_words import NumberWords
from gateway.spoken.other import ADDRESS
from gateway.spoken.rules import Rule, alternatives, apply

_SIGNS = {
    "R$": "BRL",
    "$": "USD",
    "\u20ac": "EUR",
    "\u00a3": "GBP",
    "\u20bd": "RUB",
    "\u20b9": "INR",
}
_CODES = ("EUR", "USD", "GBP", "CHF")
_DASH = r"\s?[-\u2013]\s?"
_ISO = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b")
_NUMERIC = re.compile(
    r"(?<![\w.])(0?[1-9]|[12]\d|3[01])([./-])(0?[1-9]|1[0-2])\2((?:19|20)\d\d)(?!\w)"
)
_DIGITS_ALONE = re.compile(r"(?<![\w.,])(0\d+)(?![\w]|[.,]\d)")
_HOUR, _MINUTE = r"([01]?\d|2[0-4])", r"([0-5]\d)"
_LEAST_CALLED = 7
"""Digits of a number that is read digit by digit."""


def read_by(tag: str, text: str) -> str:
    """Write out what has digits and signs.

    Args:
        tag: of a language that has a `reading.toml` (BCP 47); its region chooses names.
        text: one portion.
    """
    return voiced(apply(_rules(tag), text))


@lru_cache(32)
def _rules(tag: str) -> tuple[Rule, ...]:
    found = language(tag)
    reading = found.reading
    assert reading is not None  # noqa: S101 - see `speakable`
    say = NumberWords(found.code, tag, reading)
    return (
        *_abbreviations(reading),
        (ADDRESS, partial(_address, reading)),
        *_dates(reading, say),
        *_times(reading, say),
        (re.compile(r"(?<![\w.,)-])-\s?(?=\d)"), f"{reading.minus} "),
        *_sums(reading, say),
        *_measures(reading, say),
        *_ordinals(reading, say),
        (re.compile(_CALLED), partial(_called, reading, say)),
        (_DIGITS_ALONE, lambda found: say.digits(found[1])),
        *_numbers(reading, say),
    )


_NOT_CALLED = re.compile(
    r"(?:19|20)\d\d[ -](?:19|20)\d\d"  # years
    r"|\d{1,2}\.\d\d ?- ?\d{1,2}\.\d\d"  # hours
    r"|\d{1,2}\.\d+"  # a decimal
)
_CALLED = (
    r"(?<![\w.,$\u20ac\u00a3\u00a5/:-])"
    r"\+?(?:\(\d{1,5}\)|\d+)(?:[ ./-]?(?:\(\d{1,5}\)|\d+))*"
    r"(?![\w:%]|[.,]\d)"
)


def _called(reading: Reading, say: NumberWords, found: re.Match[str]) -> str:
    """Read a telephone number in the groups in which it is written."""
    written = found[0]
    is_long = sum(map(str.isdigit, written)) >= _LEAST_CALLED
    if not is_long or say.is_grouped(written) or _NOT_CALLED.fullmatch(written):
        return written
    groups = ", ".join(say.digits(group) for group in re.findall(r"\d+", written))
    return f"{reading.plus} {groups}" if written.startswith("+") else groups


def _address(reading: Reading, found: re.Match[str]) -> str:
    address = found["mail"] or found["url"].removeprefix("www.").rstrip("/")
    dotted = address.replace(".", f" {reading.dot} ").replace("/", " ")
    return dotted.replace("@", f" {reading.at} ")


def _abbreviations(reading: Reading) -> tuple[Rule, ...]:
    if not reading.abbreviations:
        return ()
    words = reading.abbreviations
    short = re.compile(rf"(?<![\w.])({alternatives(words)})(?!\w)")
    return ((short, lambda found: words[found[1]]),)


def _dates(reading: Reading, say: NumberWords) -> tuple[Rule, ...]:
    dates = reading.dates
    months = say.locale.months["format"]["wide"]
    numbers = {name.lower(): number for number, name in months.items()}

    def date(day: str, month: int, year: str, before: str) -> str:
        word = _day(dates.day, int(day), before)
        spoken = dates.spoken if year else dates.without_year
        name = months[month]
        return spoken.format(day=word, month=name, year=say.year(int(year)) if year else "")

    def _day(kind: str, day: int, before: str) -> str:
        if day == 1 and dates.first:
            return dates.first
        if kind == "cardinal":
            return say.cardinal(day)
        return say.ordinal(day) + dates.ending_after.get(before.lower(), dates.ending)

    def before(found: re.Match[str]) -> str:
        words = re.findall(r"\w+", found.string[max(0, found.start() - 20) : found.start()])
        return words[-1] if words else ""

    joint = r"(?:(?:de|del|van)\s+)?"
    named = re.compile(
        rf"(?<![\w.,])(0?[1-9]|[12]\d|3[01])(?:\.|er|º|°|ª)?\s+{joint}({alternatives(months.values())})"
        rf"(?:,?\s+{joint}((?:19|20)\d\d))?(?!\w)",
        re.IGNORECASE,
    )
    intro = alternatives(dates.ending_after)
    short = re.compile(
        rf"(?i:\b({intro or '(?!)'}))\s+(0?[1-9]|[12]\d|3[01])\.\s?(0?[1-9]|1[0-2])\.(?!\d)"
    )
    return (
        (_ISO, lambda m: date(m[3], int(m[2]), m[1], before(m))),
        (_NUMERIC, lambda m: date(m[1], int(m[3]), m[4], before(m))),
        (named, lambda m: date(m[1], numbers[m[2].lower()], m[3] or "", before(m))),
        (short, lambda m: f"{m[1]} " + date(m[2], int(m[3]), "", m[1])),
    )


def _times(reading: Reading, say: NumberWords) -> tuple[Rule, ...]:
    times = reading.times
    mark = rf"(?:{alternatives(times.marks)})(?!\w)"
    between = alternatives(times.between)

    def time(hour: str, minute: str | None) -> str:
        number = int(hour)
        word = times.one if number == 1 else say.cardinal(number)
        if not int(minute or "0"):
            full = times.full_one if number == 1 and times.full_one else times.full
            return full.format(hour=word)
        return times.with_minutes.format(hour=word, minute=say.cardinal(int(minute or "0")))

    clock = rf"(?<![\w:.,]){_HOUR}"
    rules: list[Rule] = [
        (
            re.compile(rf"({clock}(?:[:.]{_MINUTE})?){_DASH}(?=\d{{1,2}}(?:[:.]\d\d)?\s?{mark})"),
            lambda m: f"{m[1]} {reading.range} ",
        ),
        (
            re.compile(rf"({clock}:{_MINUTE}){_DASH}(?=\d{{1,2}}:\d\d)"),
            lambda m: f"{m[1]} {reading.range} ",
        ),
        (re.compile(rf"{clock}[:.]{_MINUTE}\s?{mark}"), lambda m: time(m[1], m[2])),
        (re.compile(rf"{clock}:{_MINUTE}(?![\w:]|[.,]\d)"), lambda m: time(m[1], m[2])),
    ]
    if between:
        rules.append((
            re.compile(rf"{clock}\s?(?:{between})\s?{_MINUTE}?(?!\w)"),
            lambda m: time(m[1], m[2]),
        ))  # fmt: skip
    rules.append((re.compile(rf"{clock}\s?{mark}"), lambda m: time(m[1], None)))
    return tuple(rules)


def _sums(reading: Reading, say: NumberWords) -> tuple[Rule, ...]:
    sums = reading.sums

    def unit(code: str, count: int) -> str:
        forms = sums.units.get(code)
        if forms is not None:
            return forms[count != 1]
        return get_currency_name(code, count, say.locale)

    def money(code: str, written: str) -> str:
        whole, fraction = say.parts(written)
        cents = int(fraction.ljust(2, "0")[:2] or "0")
        if len(fraction) > 2:
            return f"{say.number(written)} {unit(code, 2)}"
        small = sums.cents.get(code)
        if not whole and cents and small is not None:
            return f"{say.counted(cents)} {small[cents != 1]}"
        said = f"{say.counted(whole)} {unit(code, whole)}"
        return f"{said}{sums.joint}{say.cardinal(cents)}" if cents else said

    codes = f"({alternatives((*_CODES, *_SIGNS))})"
    return (
        (
            re.compile(rf"(?<!\w){codes}\s?({say.pattern})(?!\w)"),
            lambda m: money(_SIGNS.get(m[1], m[1]), m[2]),
        ),
        (
            re.compile(rf"(?<![\w.,])({say.pattern})\s?{codes}(?!\w)"),
            lambda m: money(_SIGNS.get(m[2], m[2]), m[1]),
        ),
    )


def _measures(reading: Reading, say: NumberWords) -> tuple[Rule, ...]:
    units = reading.units

    def measure(written: str, unit: str) -> str:
        whole, fraction = say.parts(written)
        is_one = whole == 1 and not fraction
        return f"{reading.one if is_one else say.number(written)} {units[unit][not is_one]}"

    return (
        (
            re.compile(rf"(?<![\w.,])({say.pattern})\s?%"),
            lambda m: f"{say.counted_number(m[1])} {reading.percent}",
        ),
        (
            re.compile(rf"(?<![\w.,])({say.pattern})\s?({alternatives(units)})(?!\w)"),
            lambda m: measure(m[1], m[2]),
        ),
    )


def _ordinals(reading: Reading, say: NumberWords) -> tuple[Rule, ...]:
    found: list[Rule] = []

    def rule(marks: tuple[str, ...], read: Callable[[int], str]) -> Rule:
        pattern = re.compile(rf"(?<![\w.,])(\d{{1,3}})(?:{alternatives(marks)})(?!\w)")
        return pattern, lambda m: read(int(m[1]))

    if reading.ordinals.marks:
        found.append(rule(reading.ordinals.marks, say.ordinal))
    if reading.ordinals.feminine_marks:
        found.append(rule(reading.ordinals.feminine_marks, say.feminine_ordinal))
    return tuple(found)


def _numbers(reading: Reading, say: NumberWords) -> tuple[Rule, ...]:
    number = say.pattern
    signs = reading.signs
    return (
        (
            re.compile(rf"(?<![\w.,-])(\d{{1,4}}){_DASH}(?=\d{{1,4}}(?![\w.,-]))"),
            lambda m: f"{m[1]} {reading.range} ",
        ),
        (re.compile(r"(?<![\w.,)])\+\s?(?=\d)"), f"{reading.plus} "),
        (
            re.compile(rf"(?<=\s)({alternatives(signs)})(?=\s)"),
            lambda m: signs[m[1]],
        ),
        (re.compile(rf"(?<![\w.,])({number})(?!\w|[.,]\d)"), lambda m: say.plain(m[1])),
    )
