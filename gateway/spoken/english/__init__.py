"""English text as it is read aloud, the American way."""

from __future__ import annotations

import re

from gateway.spoken.characters import plain_digits, romanized, voiced
from gateway.spoken.english.abbreviations import ABBREVIATIONS, ROMAN
from gateway.spoken.english.addresses import RULES as ADDRESSES
from gateway.spoken.english.calendar import DATES, TIMES, WEEKDAYS
from gateway.spoken.english.codes import CODES, MIXED, TELEPHONES
from gateway.spoken.english.measures import COMPARISONS, FRACTIONS, MEASURES, SUMS
from gateway.spoken.english.money import MONEY, PER, SIGNS, per
from gateway.spoken.english.numbers import DECADES, NUMBERS, ORDINALS
from gateway.spoken.numerals import cardinal
from gateway.spoken.rules import Rule, apply

_MARKS: tuple[Rule, ...] = (
    (re.compile(r"(?<=\d)\s?[\u2605\u2b50]"), " star"),
    (
        re.compile(r"([\u2605\u2b50]+)\u2606*"),
        lambda m: f" {cardinal(len(m[1]))} star{'s' if len(m[1]) > 1 else ''} ",
    ),
    (re.compile(r"(?:(?<=\s)|^)(?:[:;=8][-']?[()DPpO/|\\]|<3+|\^_\^|:'\()(?=[\s.,!?]|$)"), " "),
    (re.compile(r"\s?(?:\u2192|->|=>|\u21d2)\s?"), ", "),
    (re.compile(r"\s?\u2014\s?|\s-{1,3}\s(?=[^\W\d]|[\"'(])|(?<=[^\W\d_])--(?=[^\W\d_])"), ", "),
    (re.compile(r"(?<=[^\W\d_])\s\u2013\s(?=\S)|(?<=\S)\s\u2013\s(?=[^\W\d_])"), ", "),
    *WEEKDAYS,
    (re.compile(r"(?<=[^\W\d_])\u2013(?=[^\W\d_])"), " to "),
)
_TEXT_SIGNS: tuple[Rule, ...] = (
    (re.compile(r"\u00a9"), " copyright "),
    (
        re.compile(r"(?<![\w&])([A-Z]{1,3})&([A-Z]{1,3})(?![\w&])"),
        lambda m: f"{' '.join(m[1])} and {' '.join(m[2])}",
    ),
    (re.compile(r"\s?&\s?"), " and "),
    (
        re.compile(
            r"(?<=[a-z])/(?=(?:day|week|month|year|hour|night|person|minute|second|head)\b)"
        ),
        " per ",
    ),
    (re.compile(r"(?<=\w)\u2013(?=\w)"), " to "),
    (re.compile(r"\s?@\s?"), " at "),
    (re.compile(r"\s?%\s?"), " percent "),
    (re.compile(r"\s?\u00b0\s?"), " degrees "),
    (re.compile(r"\$"), " dollars "),
    (re.compile(r"\u20ac"), " euros "),
    (re.compile(r"\u00a3"), " pounds "),
    (re.compile(r"\band/or\b"), "and or"),
    (re.compile(r"(?<=[a-z])\s?/\s?(?=[A-Za-z])"), " or "),
    (re.compile(r"/"), " "),
    (re.compile(r"\s[-\u2013]+(?=\s|$)|(?<=\s)[-\u2013]+(?=[^\W\d])"), ", "),
    (re.compile(r"[-\u2013]+(?=\s|$)|\u2013"), " "),
)
_SUBSCRIPTS = str.maketrans(
    "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089", "0123456789"
)
_STEPS: tuple[tuple[re.Pattern[str], tuple[Rule, ...]], ...] = (
    (re.compile(r"[^\w\s.,!?']"), _MARKS),
    (re.compile(r"[@#/:]|\.\w|\b[vV](?:er|\s?\d)"), ADDRESSES),
    (
        re.compile(
            r"\.(?!\s*\Z)|[#/\u2116\u00a7]|\b(?:[A-Z][a-z]{0,3}|[A-Z][a-z]*\.|vs|aka|appt|qty|hrs"
            r"|mins|yrs|pls|thx|asap|ASAP|EOD)\b|[a-z]\.\s*\Z"
        ),
        ABBREVIATIONS,
    ),
    (re.compile(r"[VXLC]\b|II|\b[a-z]+ I\b", re.IGNORECASE), ROMAN),
    (
        re.compile(
            r"[<>~\u2264\u2265\u2248\u223c\u2243\u00b1]|\+/-|\d[eE][-+]?\d|[\u00b9\u00b2\u00b3\u2070-\u207b]"
        ),
        COMPARISONS,
    ),
    (
        re.compile(
            r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
            r"|\d[./-]\d|\d{4}|\d0'?s"
        ),
        (*DECADES, *DATES),
    ),
    (
        re.compile(r"\d[:.]\d|\b\w+\s?[aApP]\.?\s?[mM]\b|\d\s?[aApP]\.?[mM]|noon|midnight|24/7"),
        TIMES,
    ),
    (re.compile(rf"{SIGNS}"), MONEY),
    (re.compile(r"\d"), (*TELEPHONES, *MEASURES)),
    (re.compile(r"[a-z]\s?/"), ((PER, per),)),
    (re.compile(r"\d\D{0,3}\d\D{0,3}\d"), CODES),
    (re.compile(r"\d/\d|50-50"), FRACTIONS),
    (re.compile(r"[^\x00-\x7f]|[+=^~<>]|!=|\d\s?x|\d\s[-/]\s|\d[eE]\d"), SUMS),
    (re.compile(r"\d"), (*ORDINALS, *MIXED, *NUMBERS)),
    (re.compile(r"[^\w\s.,!?']"), _TEXT_SIGNS),
)
"""What makes a group of rules worth trying, and the group, in their order."""


def read_english(text: str) -> str:
    """Spell out what an English synthesizer reads wrong.

    Args:
        text: without mark-up, quotes and dashes as `typeset` writes them.
    """
    text = plain_digits(text.translate(_SUBSCRIPTS))
    for is_worth_it, rules in _STEPS:
        if is_worth_it.search(text):
            text = apply(rules, text)
    return romanized(voiced(text))
