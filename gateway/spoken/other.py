"""Other languages: their voices read numbers; the rest is written out from CLDR's data."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency

from gateway.spoken.characters import voiced
from gateway.spoken.numerals import ANY_NUMBER, amount
from gateway.spoken.rules import Rule, apply

_SIGNS = {"$": "USD", "\u20ac": "EUR", "\u00a3": "GBP", "\u20bd": "RUB", "\u20b9": "INR"}
_SIGN = r"([$\u20ac\u00a3\u20bd\u20b9])"
ADDRESS = re.compile(
    r"(?P<mail>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?:https?://|www\.)(?P<url>[^\s<>()\"]*[\w/])"
)
_TELEPHONE = re.compile(
    r"(?<![\w.,$\u20ac\u00a3\u00a5/:-])"
    r"\+?(?:\(\d{1,5}\)|\d+)(?:[ .-]?(?:\(\d{1,5}\)|\d+))*"
    r"(?![\w:/%]|[.,]\d)"
)
_NO_TELEPHONE = re.compile(
    r"\d{1,3}(?:[. ]\d{3})+"  # thousands
    r"|(?:19|20)\d\d[ -](?:19|20)\d\d"  # years
    r"|\d{1,2}\.\d\d ?- ?\d{1,2}\.\d\d"  # hours
    r"|\d{1,2}\.\d+"  # a decimal
)
_ISO_DATE = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b")
_DATE = re.compile(r"(?<![\w.])(0?[1-9]|[12]\d|3[01])\.(0?[1-9]|1[0-2])\.(\d{4})\b")


def read_other(text: str, language: str) -> str:
    """Write out addresses, dates, money and telephone numbers."""
    text = ADDRESS.sub(_address, text)
    text = apply(_rules(language), text)
    return voiced(_TELEPHONE.sub(_telephone, text))


@lru_cache(16)
def _rules(language: str) -> tuple[Rule, ...]:
    """Return what depends on the language; nothing where CLDR does not know it."""
    try:
        locale = Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return ()

    def money(sign: str, written: str) -> str:
        value = amount(written)
        number = Decimal(f"{value.whole}.{value.fraction or '0'}")
        pattern = "#,##0.##" if not value.fraction.strip("0") else "#,##0.00"
        return format_currency(number, _SIGNS[sign], pattern, locale, currency_digits=False,
                               format_type="name")  # fmt: skip

    def date(year: str, month: str, day: str, written: str) -> str:
        try:
            return format_date(datetime.date(int(year), int(month), int(day)), "long", locale)
        except ValueError:
            return written

    return (
        (_ISO_DATE, lambda m: date(m[1], m[2], m[3], m[0])),
        (_DATE, lambda m: date(m[3], m[2], m[1], m[0])),
        (re.compile(rf"{_SIGN}\s?({ANY_NUMBER})(?!\w)"), lambda m: money(m[1], m[2])),
        (re.compile(rf"(?<![\w.,])({ANY_NUMBER})\s?{_SIGN}(?!\w)"), lambda m: money(m[2], m[1])),
    )


def _address(found: re.Match[str]) -> str:
    address = found["mail"] or found["url"].removeprefix("www.").rstrip("/")
    return address.replace(".", ". ").replace("/", " ").replace("@", " @ ")


def _telephone(found: re.Match[str]) -> str:
    """Seven digits and more are read one by one, in the groups they were written in."""
    written = found[0]
    if sum(map(str.isdigit, written)) < 7 or _NO_TELEPHONE.fullmatch(written):
        return written
    groups = ", ".join(" ".join(group) for group in re.findall(r"\d+", written))
    return f"+ {groups}" if written.startswith("+") else groups
