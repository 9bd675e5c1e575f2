"""A reply's token stream -> pieces that a synthesizer can speak, each as soon as it is certain.

The first piece may end at a clause, so that speech starts early; later pieces are sentences.  Every
cut is decided by the text alone: the pieces do not depend on how the stream was chunked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from gateway.conversation.speakable import speakable

__all__ = ["FIRST_PIECE_WORDS", "MAX_PIECE_WORDS", "SentenceSplitter", "speakable"]

FIRST_PIECE_WORDS = 1
"""The first piece is cut at a clause once it has so many words: "Sure," buys half a second."""
MAX_PIECE_WORDS = 30
"""A run-on is cut here, at the last clause if it has one."""
_MIN_CLAUSE_WORDS = 8

_CLOSERS = r"""["'*_)\]\u2019\u201d\u00bb]*"""
_CANDIDATE = re.compile(
    rf"""(?P<sentence>[.!?\u2026]+{_CLOSERS})(?=\s)
    |(?P<ideographic>[\u3002\uff01\uff1f]++[\u300d\u300f\u201d\uff09]*+)(?=[\s\S])
    |(?P<comma>(?<=[^\W\d_]),)
    |(?P<clause>[,;:\u060c\u2014]{_CLOSERS})(?=\s)
    |(?P<dash>(?<=\s)[\u2013-])(?=\s+[^\s\d])
    |(?P<clause_wide>[\uff0c\u3001])(?=.)
    |(?P<line>\n)""",
    re.VERBOSE,
)
_WORD = re.compile(r"\S+\s")
_NEXT_CHARACTER = re.compile(r"[\s\"'*_(\[\u2018\u201c\u00ab]*([^\s\"'*_(\[\u2018\u201c\u00ab])")
_NEXT_WORD = re.compile(r"\W*(\w+)\W")

_ALWAYS_SHORT = re.compile(
    r"mr|mrs|ms|mx|dr|prof|st|mt|gen|col|sgt|capt|lt|rev|hon|messrs|vs|approx|dept|"
    r"e\.g|i\.e|cf|bzw|z\.b|d\.h|u\.a|o\.ä|ca|nr|hr|fr|str|mme|mlle|sra|srta"
)
"""Abbreviations that never end a sentence."""
_SHORT_BEFORE_NUMBER = re.compile(
    r"no|nos|vol|fig|p|pp|ext|tel|art|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
)
_SHORT_UNLESS_CAPITAL = re.compile(r"etc|inc|ltd|co|corp|jr|sr|ave|blvd|rd|hrs|est|al|usw")
_DOTTED = re.compile(r"(?:\w\.)+\w")
"""a.m, U.S, Ph.D and the like may end a sentence."""
_MONTHS_AFTER_ORDINAL = re.compile(
    r"januar|jänner|februar|märz|april|mai|juni|juli|august|september|oktober|"
    r"november|dezember"
)

_CLAUSES = ("comma", "clause", "clause_wide", "dash")
"""A comma after a letter is certain before what follows is known: one token sooner."""
_Verdict = Literal["cut", "go on", "wait"]


class SentenceSplitter:
    """Collects one reply; `push` its deltas, then `flush`."""

    def __init__(self) -> None:
        self._text = ""
        self._is_first = True

    def push(self, delta: str) -> list[str]:
        """Take more text; give the pieces that are now certain, in order, without outer blanks."""
        self._text += delta
        pieces = []
        while (end := _next_cut(self._text, is_first=self._is_first)) is not None:
            pieces.append(self._text[:end].strip())
            self._text = self._text[end:]
            self._is_first = False
        return pieces

    def flush(self) -> list[str]:
        """Give the rest: the reply is complete."""
        pieces = self.push("\n")
        rest, self._text = self._text.strip(), ""
        self._is_first = True
        return [*pieces, rest] if rest else pieces


def _next_cut(text: str, *, is_first: bool) -> int | None:
    """Where the next piece ends, None while that is not certain."""
    limit = _limit(text)
    last_clause = None
    for found in _CANDIDATE.finditer(text):
        if limit is not None and found.end() > limit:
            break
        if _is_enclosed(text[: found.end()]):
            continue
        if found.lastgroup in _CLAUSES:
            words = len(text[: found.end()].split())
            if is_first and words >= FIRST_PIECE_WORDS and _has_word(text[: found.end()]):
                return found.end()
            last_clause = found.end() if words >= _MIN_CLAUSE_WORDS else last_clause
            continue
        verdict = _judge(text, found)
        if verdict != "go on":
            return found.end() if verdict == "cut" else None
    return limit and (last_clause or limit)


def _judge(text: str, found: re.Match[str]) -> _Verdict:
    """Is this mark the end of a sentence?  "wait" = more text will tell."""
    if not _has_word(text[: found.start()]):
        return "go on"
    following = text[found.end() :]
    if found.lastgroup == "line":
        return _unless_lower(following)
    if found.lastgroup == "ideographic" or not found.group().startswith((".", "\u2026")):
        return "cut"
    if found.group().startswith(("..", "\u2026")):
        return _unless_lower(following)
    return _judge_full_stop(text[: found.start()], following)


def _judge_full_stop(before: str, following: str) -> _Verdict:
    word = before.rsplit(maxsplit=1)[-1].lstrip("\"'*_([\u2018\u201c\u00ab")
    short = word.lower()
    if _ALWAYS_SHORT.fullmatch(short) or (len(word) == 1 and word.isupper() and word != "I"):
        return "go on"
    if _SHORT_BEFORE_NUMBER.fullmatch(short):
        return _unless(following, str.isdigit)
    if _SHORT_UNLESS_CAPITAL.fullmatch(short) or _DOTTED.fullmatch(word):
        return _only_if_capital(following)
    if word.isdigit() and len(word) <= 2:
        return _judge_ordinal(before, following)
    return "cut"


def _judge_ordinal(before: str, following: str) -> _Verdict:
    """`1. Coffee` on a line of its own is a list, `am 3. Mai` a date, `for 4. Good.` an end."""
    if not before.rpartition("\n")[2].strip(" \t0123456789*_"):
        return "go on"
    if (word := _NEXT_WORD.match(following)) is None:
        return "wait"
    is_date = word[1][0].islower() or _MONTHS_AFTER_ORDINAL.fullmatch(word[1].lower())
    return "go on" if is_date else "cut"


def _unless_lower(following: str) -> _Verdict:
    return _unless(following, str.islower)


def _only_if_capital(following: str) -> _Verdict:
    return _unless(following, lambda character: not character.isupper())


def _unless(following: str, goes_on: Callable[[str], bool]) -> _Verdict:
    found = _NEXT_CHARACTER.match(following)
    if found is None:
        return "wait"
    return "go on" if goes_on(found[1]) else "cut"


def _limit(text: str) -> int | None:
    """Where a run-on must be cut, None while it is not one.  Code is never torn."""
    for count, word in enumerate(_WORD.finditer(text), start=1):
        if count >= MAX_PIECE_WORDS and not _is_in_code(text[: word.end()]):
            return word.end() - 1
    return None


def _is_enclosed(text: str) -> bool:
    """Within a code fence or the text of a link, where a cut would bare the mark-up."""
    return _is_in_code(text) or text.count("[") > text.count("]")


def _is_in_code(text: str) -> bool:
    return text.count("```") % 2 == 1


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, text))
