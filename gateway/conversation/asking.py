"""What a bot has asked the caller for, by its own words or by its own hint.  Pure.

A script says what it expects; a language model only asks.  Who knows that a number was asked for
hears it out.  The phrases of a language stand in its `questions.toml`.
"""

from __future__ import annotations

import re
from typing import get_args

from gateway.languages import language
from gateway.languages.questions import Questions
from gateway.providers.contracts import Expect, ExpectKind

_HINT = re.compile(
    r"\s*\[expect:?\s+([a-z_ -]+?)(?:[\s:,]+(\d{1,2}))?(?:\s+digits?)?\s*\]", re.IGNORECASE
)
_HINTED = frozenset(get_args(ExpectKind)) - {"choice"}
"""A menu's phrases are not in a hint."""
_SENTENCE = re.compile(r"[^.?!\n]*[.?!]?")
_LOOKED_AT = 2
"""Sentences at the end: "What is your order number? It is on the receipt."."""

_DICTATED: tuple[tuple[str, ExpectKind], ...] = (
    ("spell", "spelling"),
    ("email", "email"),
    ("telephone", "phone_number"),
    ("date", "date"),
    ("digits", "digits"),
)
_ENGLISH = language("en").questions


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


def expected_by(text: str, known: Questions = _ENGLISH) -> Expect | None:
    """Guess from the end of a bot's words what it has asked for; None = nothing in particular."""
    plain = known.abbreviated.sub(lambda short: short[0].replace(".", ""), text)
    sentences = [part for part in _SENTENCE.findall(plain) if any(map(str.isalnum, part))]
    for sentence in reversed(sentences[-_LOOKED_AT:]):
        if (kind := _asked_in(sentence, known)) is not None:
            digits = _length(sentence, known) if kind in {"digits", "phone_number"} else None
            return Expect(kind, digits=digits, is_guess=True)
        if sentence.rstrip().endswith("?"):
            return None  # it asks for something else
    return None


def _asked_in(sentence: str, known: Questions) -> ExpectKind | None:
    if not known.requests.search(sentence):
        return None
    is_question = sentence.rstrip().endswith("?")
    if is_question and known.finds["checked"].search(sentence):
        return "yes_no"
    if known.length.search(sentence) or known.vague_length.search(sentence):
        return "digits"
    for phrases, kind in _DICTATED:
        if known.finds[phrases].search(sentence):
            return kind
    if not is_question:
        return "name" if known.finds["name"].search(sentence) else None
    return _asked_shortly(sentence, known)


def _asked_shortly(question: str, known: Questions) -> ExpectKind | None:
    if known.finds["quantity"].search(question):
        return "quantity"
    if known.finds["time"].search(question):
        return "time"
    if known.finds["name"].search(question):
        return "name"
    is_alternative = known.finds["choice"].search(question)
    return "yes_no" if known.yes_no_question.search(question) and not is_alternative else None


def _length(sentence: str, known: Questions) -> int | None:
    """How many digits were asked for, where that is said."""
    if known.vague_length.search(sentence):
        return None
    found = known.length.search(sentence)
    if found is None:
        return None
    return int(found[1]) if found[1].isdigit() else known.numbers[found[1].lower()]
