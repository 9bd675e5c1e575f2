"""Amounts of money.  CLDR knows what the currencies are called."""

from __future__ import annotations

import re
from functools import lru_cache

from babel.numbers import get_currency_name

from gateway.spoken.numerals import ANY_NUMBER, MAGNITUDE, MAGNITUDES, Amount, amount, cardinal
from gateway.spoken.rules import Rule, alternatives, link_word

_SIGNS = {
    "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD",
    "HK$": "HKD", "S$": "SGD", "SG$": "SGD", "NT$": "TWD", "R$": "BRL", "MX$": "MXN", "Mex$": "MXN",
    "$": "$", "\u20ac": "\u20ac", "\u00a3": "\u00a3", "\u00a5": "\u00a5", "\u20b9": "INR",
    "\u20a9": "KRW", "\u20bd": "RUB", "\u20ba": "TRY", "\u20ab": "VND", "\u20aa": "ILS",
    "\u20b4": "UAH", "\u0e3f": "THB", "\u20b1": "PHP", "\u20a6": "NGN", "\u20bf": "BTC", "Rs": "INR",
    "Rs.": "INR",
}  # fmt: skip
_CODES = """USD EUR GBP JPY CHF AUD CAD NZD SEK NOK DKK PLN CZK HUF INR CNY HKD SGD KRW BRL MXN ZAR
TRY RUB ILS AED SAR THB RON BGN UAH PHP IDR MYR VND TWD EGP NGN KES""".split()  # noqa: SIM905
_AFTER = {"kr": "SEK", "z\u0142": "PLN", "K\u010d": "CZK", "Ft": "HUF"}
_PLAIN_NAMES = {
    "$": ("dollar", "dollars"), "\u20ac": ("euro", "euros"), "\u00a3": ("pound", "pounds"),
    "\u00a5": ("yen", "yen"), "EUR": ("euro", "euros"), "GBP": ("British pound", "British pounds"),
    "USD": ("U S dollar", "U S dollars"), "BTC": ("bitcoin", "bitcoins"), "kr": ("krona", "kronor"),
}  # fmt: skip
_CENTS = {
    **dict.fromkeys(("$", "\u20ac", "USD", "EUR", "AUD", "CAD", "NZD", "HKD", "SGD", "ZAR"),
                    ("cent", "cents")),
    **dict.fromkeys(("\u00a3", "GBP"), ("penny", "pence")),
    "INR": ("paisa", "paise"), "CHF": ("centime", "centimes"), "MXN": ("centavo", "centavos"),
    "BRL": ("centavo", "centavos"), "PLN": ("grosz", "groszy"),
}  # fmt: skip
_PERIODS = {
    "mo": "month", "mth": "month", "yr": "year", "y": "year", "hr": "hour", "h": "hour",
    "wk": "week", "d": "day", "min": "minute", "sec": "second", "s": "second", "p.p": "person",
    "pp": "person", "pers": "person", "ea": "piece", "sqft": "square foot", "lb": "pound",
    "kg": "kilogram", "km": "kilometer", "mi": "mile", "l": "liter", "gal": "gallon", "GB": "gigabyte",
    "kWh": "kilowatt hour", "oz": "ounce", "g": "gram",
}  # fmt: skip
SIGNS = rf"[$\u20ac\u00a3\u00a5\u00a2]|{alternatives([*_SIGNS, *_CODES, *_AFTER])}|\d \d{{3}},"
_BEFORE = rf"({alternatives([*_SIGNS, *_CODES])})"
_BEHIND = rf"({alternatives([*(s for s in _SIGNS if len(s) == 1), *_CODES, *_AFTER])})"
_NUMBER = rf"({ANY_NUMBER})"
_BIG = rf"(?:\s?({MAGNITUDE})\b)?"
_TO = r"(?:\s?[-\u2013\u2014]\s?|\s+to\s+)"
_END = r"(?![\w]|[.,]\d)"


@lru_cache(256)
def _name(sign: str, *, is_one: bool) -> str:
    code = _SIGNS.get(sign, _AFTER.get(sign, sign))
    if code in _PLAIN_NAMES:
        return _PLAIN_NAMES[code][0 if is_one else 1]
    name = get_currency_name(code, 1 if is_one else 2, locale="en_US")
    return re.sub(r"\bUS\b", "U S", name)


def say_money(value: Amount, sign: str, magnitude: str = "") -> str:
    """Read "three dollars and fifty cents"."""
    if magnitude:
        return f"{value.words} {MAGNITUDES[magnitude]} {_name(sign, is_one=False)}"
    cents = _CENTS.get(_SIGNS.get(sign, sign))
    fraction = value.fraction.rstrip("0")
    if not fraction:
        whole = Amount(value.whole)
        return f"{whole.words} {_name(sign, is_one=whole.is_one)}"
    if cents is None or len(fraction) > 2:
        return f"{Amount(value.whole, fraction).words} {_name(sign, is_one=False)}"
    parts = int(fraction.ljust(2, "0"))
    small = f"{cardinal(parts)} {cents[0 if parts == 1 else 1]}"
    if not value.whole:
        return small
    return f"{cardinal(value.whole)} {_name(sign, is_one=value.whole == 1)} and {small}"


def _before(found: re.Match[str]) -> str:
    minus = "minus " if found[1] or found[3] else ""
    return minus + say_money(amount(found[4]), found[2], found[5] or "")


def _behind(found: re.Match[str]) -> str:
    return say_money(amount(found[1]), found[3], found[2] or "")


def _range(
    low: str, low_big: str | None, high: str, high_big: str | None, sign: str, to: str
) -> str:
    first, last = amount(low), amount(high)
    last_said = say_money(last, sign, high_big or "")
    if (first.fraction or last.fraction) and not high_big:
        return f"{say_money(first, sign, low_big or '')} {to} {last_said}"
    big = low_big if low_big and low_big != high_big else ""
    return f"{first.words}{' ' + MAGNITUDES[big] if big else ''} {to} {last_said}"


def _range_before(found: re.Match[str]) -> str:
    return _range(found[2], found[3], found[4], found[5], found[1], link_word(found))


def _range_behind(found: re.Match[str]) -> str:
    return _range(found[1], found[2], found[3], found[4], found[5], link_word(found))


def _cents(found: re.Match[str]) -> str:
    value = amount(found[1])
    return f"{value.words} {'cent' if value.is_one else 'cents'}"


def per(found: re.Match[str]) -> str:
    """Read what stands behind the slash of a price or a rate."""
    return f"{found[1]} per {_PERIODS.get(found[2], found[2])}"


MONEY: tuple[Rule, ...] = (
    (re.compile(rf"(?<![\d.,])\d{{1,3}}(?: \d{{3}})+(?=,\d\d(?!\d)|\s?{_BEHIND}(?!\w))"),
     lambda m: m[0].replace(" ", "")),
    (re.compile(rf"(?<![\w]){_BEFORE}\s?{_NUMBER}{_BIG}{_TO}(?:\1\s?)?{_NUMBER}{_BIG}{_END}"),
     _range_before),
    (re.compile(rf"(?<![\w.,]){_NUMBER}{_BIG}{_TO}{_NUMBER}{_BIG}\s?{_BEHIND}(?!\w)"), _range_behind),
    (re.compile(rf"(?:(?<=\s)|(?<=^)|(?<=\())([-\u2212\u2013]?)(?<!\w){_BEFORE}\s?([-\u2212]?)"
                rf"{_NUMBER}{_BIG}(?:,?-(?=\s|$))?{_END}"), _before),
    (re.compile(rf"()(?<![\w]){_BEFORE}\s?([-\u2212]?){_NUMBER}{_BIG}{_END}"), _before),
    (re.compile(rf"(?<![\w.,]){_NUMBER}(?:,-)?{_BIG}\s?{_BEHIND}(?!\w)"), _behind),
    (re.compile(r"(?<![\w.])(\d+)\s?\u00a2"), _cents),
)  # fmt: skip
PER = re.compile(
    r"\b(dollars?|euros?|pounds?|yen|cents?|pence|francs?|kronor|rupees?|U S dollars?|percent"
    r"|hours?|minutes?|miles?|meters?|kilometers?|liters?|grams?|kilograms?|ounces?|gigabytes?"
    r"|megabytes?|kilobytes?|terabytes?|megabits|feet|times|gallons?|calories|kilowatt-hours?)(?:\s?/|/\s)([A-Za-z]+(?:\.p)?)\b"
)
