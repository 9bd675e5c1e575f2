"""What a bot has asked the caller for, by its own words or by its own hint.  Pure.

A script says what it expects; a language model only asks.  Who knows that a number was asked for
hears it out.  English; other languages say nothing here and are heard as before.
"""

from __future__ import annotations

import re
from typing import get_args

from gateway.providers.contracts import Expect, ExpectKind

_HINT = re.compile(
    r"\s*\[expect:?\s+([a-z_ -]+?)(?:[\s:,]+(\d{1,2}))?(?:\s+digits?)?\s*\]", re.IGNORECASE
)
_HINTED = frozenset(get_args(ExpectKind)) - {"choice"}
"""A menu's phrases are not in a hint."""
_SENTENCE = re.compile(r"[^.?!\n]*[.?!]?")
_ABBREVIATED = re.compile(
    r"\b(e|[a-z])\.(?=[a-z])|\b(no|st|dr|mr|mrs|ms|e\.g|i\.e)\.", re.IGNORECASE
)
_LOOKED_AT = 2
"""Sentences at the end: "What is your order number? It is on the receipt."."""

_REQUEST = re.compile(
    r"\?|\bplease\b|\b(?:tell|give|say|enter|provide|share|read|dictate|spell|type|state|repeat|confirm|need"
    r"|what(?:'s| is| was)|go ahead|let me (?:have|know)|start with|begin with|looking for|ask(?:ing)? for)\b",
    re.IGNORECASE,
)
_CHECKED = re.compile(
    r"\b(?:(?:did|have|has) you (?:get|got|receive[d]?|see|seen)|correct|right|okay|ok|did i get|read (?:it|that|this|them|your \w+(?: \w+)?) back|sounds? good|still (?:your|the)"
    r"|shall i|should i|(?:do|would) you (?:want|like) (?:me|us) to|want me to|would you like to (?:book|order|continue|proceed))\b",
    re.IGNORECASE,
)
"""Asks whether something is so, whatever it names."""
_YES_NO = re.compile(
    r"^\W*(?:(?:and|so|okay|ok|great|well|now|then|alright|perfect|thanks|thank you)\W+)*"
    r"(?:do|does|did|is|are|was|were|will|would|shall|should|can|could|have|has|may|am|isn't|aren't|don't|doesn't)\b[^?]*\?",
    re.IGNORECASE,
)
_NUMBER_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
                 "ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16}  # fmt: skip
_LENGTH = re.compile(
    rf"(?:\b|(?<=\s))(\d{{1,2}}|{'|'.join(_NUMBER_WORDS)})[\s-]+(?:digits?|figures?|numbers)\b(?!\s+or\b)",
    re.IGNORECASE,
)
_VAGUE_LENGTH = re.compile(
    r"\b(?:\d+|[a-z]+)\s*(?:to|or|-)\s*(?:\d+|[a-z]+)[\s-]+digits?\b", re.IGNORECASE
)

_TELEPHONE = re.compile(
    r"\b(?:(?:tele)?phone|mobile|cell(?:phone)?|contact|call ?back|daytime|home|work|fax|best) (?:phone )?number"
    r"|\bnumber (?:(?:can|should|may|could|do|would) (?:i|we)|(?:to|where) |for (?:me|us) )?\s*(?:can |should |may )?"
    r"(?:i |we )?(?:to )?(?:call|reach|contact|ring|text|phone)\b"
    r"|\b(?:your|the|a) (?:tele)?phone\b(?=[^.?!]*[.?!]?$)|\bnumber\b[^.?!]*\b(?:reach|call(?:ing)?|text) you\b",
    re.IGNORECASE,
)
_DIGITS = re.compile(
    r"\b(?:order|account|customer|client|confirmation|reference|booking|reservation|card|credit card|debit card"
    r"|member(?:ship)?|policy|invoice|tracking|ticket|case|claim|contract|patient|employee|student|passport|serial|meter"
    r"|model|routing|sort|security|social security|insurance|tax|vehicle|licen[cs]e|flight|room|house|id|identification"
    r"|verification|access|zip|postal|post|pin|pass|one-time|billing|gift card|voucher|loyalty|extension)[\s-](?:id[\s-])?"
    r"(?:numbers?|codes?|digits?|ids?)\b"
    r"|\b(?:zip|pin|passcode|postcode|cvv|cvc|otp|digits|your id|your number|the number|the code|your code|extension)\b",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"\be-?mail\b", re.IGNORECASE)
_SPELL = re.compile(r"\bspell\b|\bspelling\b|\bletter by letter\b", re.IGNORECASE)
_DATE = re.compile(
    r"\b(?:date of birth|birth ?date|birthday|when were you born|born|expir(?:y|ation)(?: date)?|d\.?o\.?b)\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\b(?:what|which) (?:time|day|date)\b|\bwhen\b[^?]*\b(?:would|should|shall|do|can|works?)\b[^?]*\?|\bwhat time\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"\b(?:your|the|a|first|last|full|family) name\b|\bwho(?:m)? (?:am i|is|do i)\b|\bname (?:for|is|should|shall|can)\b",
    re.IGNORECASE,
)
_QUANTITY = re.compile(r"\bhow many\b", re.IGNORECASE)
_CHOICE = re.compile(r"\bor\b", re.IGNORECASE)
_DICTATED: tuple[tuple[re.Pattern[str], ExpectKind], ...] = (
    (_SPELL, "spelling"),
    (_EMAIL, "email"),
    (_TELEPHONE, "phone_number"),
    (_DATE, "date"),
    (_DIGITS, "digits"),
)


def without_hint(piece: str) -> tuple[str, Expect | None]:
    """Take a hint such as `[expect phone_number]` or `[expect digits 6]` out of a piece of text."""
    found = _HINT.search(piece)
    if found is None:
        return piece, None
    expect = hinted(found[1], int(found[2]) if found[2] else None)
    return _HINT.sub("", piece).strip(), expect


def hinted(kind: str, digits: int | None) -> Expect | None:
    """What a model has told of its question; None when it knows no such kind."""
    name = re.sub(r"[\s-]+", "_", kind.strip().lower())
    name = {"phone": "phone_number", "number": "digits", "yes": "yes_no", "e_mail": "email"}.get(
        name, name
    )
    for known in get_args(ExpectKind):
        if known == name and known in _HINTED:
            count = digits if known in {"digits", "phone_number"} and digits else None
            return Expect(known, digits=count, is_guess=True)
    return None


def expected_by(text: str) -> Expect | None:
    """Guess from the end of a bot's words what it has asked for; None = nothing in particular."""
    plain = _ABBREVIATED.sub(lambda short: short[0].replace(".", ""), text)
    sentences = [part for part in _SENTENCE.findall(plain) if any(map(str.isalnum, part))]
    for sentence in reversed(sentences[-_LOOKED_AT:]):
        if (kind := _asked_in(sentence)) is not None:
            digits = _length(sentence) if kind in {"digits", "phone_number"} else None
            return Expect(kind, digits=digits, is_guess=True)
        if sentence.rstrip().endswith("?"):
            return None  # it asks for something else
    return None


def _asked_in(sentence: str) -> ExpectKind | None:
    if not _REQUEST.search(sentence):
        return None
    is_question = sentence.rstrip().endswith("?")
    if is_question and _CHECKED.search(sentence):
        return "yes_no"
    if _LENGTH.search(sentence) or _VAGUE_LENGTH.search(sentence):
        return "digits"
    for pattern, kind in _DICTATED:
        if pattern.search(sentence):
            return kind
    if not is_question:
        return "name" if _NAME.search(sentence) else None
    return _asked_shortly(sentence)


def _asked_shortly(question: str) -> ExpectKind | None:
    if _QUANTITY.search(question):
        return "quantity"
    if _TIME.search(question):
        return "time"
    if _NAME.search(question):
        return "name"
    is_alternative = _CHOICE.search(question)
    return "yes_no" if _YES_NO.search(question) and not is_alternative else None


def _length(sentence: str) -> int | None:
    """How many digits were asked for, where that is said."""
    if _VAGUE_LENGTH.search(sentence):
        return None
    found = _LENGTH.search(sentence)
    if found is None:
        return None
    return int(found[1]) if found[1].isdigit() else _NUMBER_WORDS[found[1].lower()]
