"""Ordinals, years, ranges and all numbers that nothing else has claimed."""

from __future__ import annotations

import re

from gateway.spoken.numerals import (
    MAGNITUDES,
    NUMBER,
    cardinal,
    decimal,
    ordinal,
    plain_amount,
    year,
)
from gateway.spoken.rules import Rule, link_word

_YEAR = r"(1[1-9]\d\d|20\d\d)"
_COUNTED = r"\s+(?!(?:was|is|has|does|this|its|as|plus|sees|saw|brings|begins|starts|ends)\b)(?:[a-z]+s|people)\b"
"""Behind a number that counts something, and is no year."""
_IN_YEAR = re.compile(
    rf"\b((?:in|since|until|till|by|from|year|of|before|after|during|early|late|mid|circa|through"
    rf"|summer|winter|spring|fall|autumn|copyright)\s+)"
    rf"{_YEAR}(?![\w%]|[.,]\d|{_COUNTED})",
    re.IGNORECASE,
)
_STREET_NUMBER = re.compile(r"(?<![\w.,])([1-9]\d{2,3})(?=\s+(?:[A-Z]\w+\s+){1,3}(?:Street|Avenue|Road|Boulevard"
                            r"|Lane|Drive|Highway|Parkway|Court|Place|Square|Way)\b)")  # fmt: skip


def _decade(found: re.Match[str]) -> str:
    """Read "nineteen nineties"."""
    return (found[1] or "").strip("'") + _tens(found[2])


def _tens(written: str) -> str:
    if len(written) == 2:
        said = cardinal(int(written))
    elif written.endswith("00"):
        said = year(int(written))
    else:
        said = f"{year(int(written[:2] + '00')).split()[0] if written[:2] != '20' else 'twenty'} {cardinal(int(written[2:]))}"
    return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"


def _house(found: re.Match[str]) -> str:
    """Read "twelve thirty four", "seven oh five", as people do with streets."""
    written = found[1]
    front, back = written[:-2], written[-2:]
    if back == "00":
        return f"{cardinal(int(front))} hundred" if int(front) % 10 else cardinal(int(written))
    rest = f"oh {cardinal(int(back))}" if back.startswith("0") else cardinal(int(back))
    return f"{cardinal(int(front))} {rest}"


def _years(found: re.Match[str]) -> str:
    last = found[2] if len(found[2]) == 4 else found[1][:2] + found[2]
    said_last = year(int(last)) if len(found[2]) == 4 else cardinal(int(found[2]))
    return f"{year(int(found[1]))} {link_word(found)} {said_last}"


def _range(found: re.Match[str]) -> str:
    return f"{decimal(found[1])} {link_word(found)} {decimal(found[2])}"


def _magnitude(found: re.Match[str]) -> str:
    return f"{plain_amount(found[1]).words} {MAGNITUDES[found[2]]}"


def _number(found: re.Match[str]) -> str:
    return f"{'minus ' if found[1] else ''}{decimal(found[2].replace(',', ''))}"


def _thousands(found: re.Match[str]) -> str:
    return cardinal(int(found[0].replace(".", "")))


DECADES: tuple[Rule, ...] = (
    (re.compile(r"(?<!\w)(')?(1[1-9]\d0|20\d0)'?s\b"), _decade),
    (re.compile(r"(?<!\w)(')([2-9]0)'?s\b"), _decade),
    (re.compile(r"\b((?:the|his|her|our|my|your|their|mid)[ -])([2-9]0)s\b"), _decade),
)
ORDINALS: tuple[Rule, ...] = (
    (re.compile(r"(?<=\d(?:st|nd|rd|th))\s?[-\u2013]\s?(?=\d+(?:st|nd|rd|th)\b)"), " to "),
    (re.compile(r"\b(\d{1,9})(?:st|nd|rd|th)\b"), lambda m: ordinal(int(m[1]))),
    (
        re.compile(
            rf"(?<![\w.])(?<!seat )(?<!gate )(?<!row )(?<!unit )(?![48]K)({NUMBER})\s?(k|K|M|mn|mio|bn)\b"
        ),
        _magnitude,
    ),
)
NUMBERS: tuple[Rule, ...] = (
    (re.compile(r"(?<=\d)[,;](?=\d+[,;]\d)(?!\d{3}(?!\d))|(?<=[,;]\d)[,;](?=\d(?!\d))"), ", "),
    (re.compile(rf"(?<![\w.,]){_YEAR}\s?[-\u2013]\s?(\d{{4}}|\d\d)(?![\w%]|[.,]\d)"), _years),
    (_IN_YEAR, lambda m: m[1] + year(int(m[2]))),
    (re.compile(r"(?<![\w.,-])(19\d\d|20[1-9]\d)(?![\w%-]|[.,]\d|" + _COUNTED + ")"),
     lambda m: year(int(m[1]))),
    (_STREET_NUMBER, _house),
    (re.compile(r"(?<![\w.,])\d{1,3}(?:\.\d{3}){2,}(?![\w.,]\d)"), _thousands),
    (re.compile(r"(?<![\w.,])(\d+),(\d{1,2})(?![\w,]|\.\d)"), lambda m: decimal(f"{m[1]}.{m[2]}")),
    (re.compile(r"(?:(?<=\s)|^)(\d{1,2})\)\s"), lambda m: f"{cardinal(int(m[1]))}, "),
    (re.compile(rf"(?<![\w.,])({NUMBER})\s?[-\u2013\u2014:]\s?({NUMBER})(?![\w%]|[-:]\d)"), _range),
    (re.compile(rf"(?<!\w)([-\u2212\u2013])?({NUMBER})"), _number),
    (re.compile(rf"()({NUMBER})"), lambda m: f" {decimal(m[2].replace(',', ''))} "),
    (re.compile(r"\d+"), lambda m: f" {cardinal(int(m[0][:40]))} "),
)  # fmt: skip
