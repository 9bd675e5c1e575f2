"""A reply's token stream -> pieces that a synthesizer can speak, each as soon as it is certain.

The first piece may end at a clause, so that speech starts early; later pieces are sentences.  Every
cut is decided by the text alone: the pieces do not depend on how the stream was chunked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

FIRST_PIECE_WORDS = 1
"""Words from which the first piece is cut at a clause: "Sure," saves half a second."""
MAX_PIECE_WORDS = 30
"""A run-on is cut here, at the last clause if it has one."""
_MIN_CLAUSE_WORDS = 8
_FIRST_PHRASE_WORDS = 8
"""Words from which a first piece without a mark may end before a conjunction."""
_FIRST_LONG_PHRASE_WORDS = 10
"""Words from which it may end before a preposition."""
_FIRST_MOST_WORDS = 14
"""Words at which it ends anywhere: the caller is waiting for the first audio."""
_CONJUNCTION = re.compile(
    "and|but|or|because|so|which|who|that|if|when|while|where|then|until|unless|although|before|"
    "after|und|aber|oder|weil|dass|wenn|damit|sodass|et|mais|ou|que|qui|parce|quand|y|pero|o|"
    "porque|cuando|e|ma|che|perch\u00e9|se"
)
_PREPOSITION = re.compile(
    "to|for|with|without|from|at|in|on|of|by|about|between|during|into|over|under|through|mit|"
    "f\u00fcr|von|bei|nach|zu|um|am|im|auf|aus|avec|pour|dans|sur|chez|con|para|por|desde|per|da"
)

_CLOSERS = r"""["'*_)\]\u2019\u201d\u00bb]*"""
_CANDIDATE = re.compile(
    rf"""(?P<sentence>[.!?\u2026]+{_CLOSERS})(?=\s)
    |(?P<ideographic>[\u3002\uff01\uff1f]++[\u300d\u300f\u201d\uff09]*+)(?=[\s\S])
    |(?P<comma>(?<=[^\W\d_]),)
    |(?P<clause>[,;\u060c\u2014]{_CLOSERS})(?=\s)
    |(?P<colon>:{_CLOSERS})(?=\s+[^\s\d])
    |(?P<dash>(?<=\s)[\u2013-])(?=\s+[^\s\d$\u20ac\u00a3+-])
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
_SHORT_IF_CAPITAL = frozenset(
    ("Ft", "Gov", "Sen", "Pres", "Maj", "Cpl", "Apt", "Ste", "Bldg", "Rm", "Rep")
)
"""Those that do when they are small: "six ft."."""
_IN_MARKUP = re.compile(
    r"(?<![*\w])\*(?=[A-Za-z])[^*\n]{0,60}\Z|<[A-Za-z/][^<>]{0,200}\Z|\u3010[^\u3011]*\Z"
)
"""Within "*smiles, then nods*", a tag or a citation."""
_ENTITY = re.compile(r"&#?\w+;\Z")
_MOST_WORDS = 60
"""A run-on of figures is cut here nevertheless."""
_SHORT_BEFORE_NUMBER = re.compile(
    r"no|nos|vol|fig|p|pp|ext|tel|art|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|"
    r"mon|tues?|wed|thur?s?|fri|sat|sun"
)
_SHORT_UNLESS_CAPITAL = re.compile(r"etc|inc|ltd|co|corp|jr|sr|ave|blvd|rd|hrs|est|al|usw")
_DOTTED = re.compile(r"\d{0,2}(?:\w\.)+\w")
"""a.m, U.S, Ph.D and the like may end a sentence."""
_DIRECTION = re.compile(r"\s+(?:[NS][EW]?|[EW])(?=\W|\Z)")
"""Of a street: "Ave. SW"."""
_MONTHS_AFTER_ORDINAL = re.compile(
    r"januar|jänner|februar|märz|april|mai|juni|juli|august|september|oktober|"
    r"november|dezember"
)

_CLAUSES = ("comma", "clause", "colon", "clause_wide", "dash")
"""A comma after a letter is certain before what follows is known: one token sooner."""
_Verdict = Literal["cut", "go on", "wait"]


class SentenceSplitter:
    """Collects one reply; `push` its deltas, then `flush`."""

    def __init__(self) -> None:
        self._text = ""
        self._is_first = True

    @property
    def pending(self) -> str:
        """What is in no piece yet."""
        return self._text

    def drop_words(self, count: int) -> None:
        """Forget the first words of what is in no piece yet: they were spoken already."""
        found = re.match(rf"\s*(?:\S+\s+){{{count}}}", self._text)
        self._text = self._text[found.end() :] if found else self._text

    def push(self, delta: str) -> list[str]:
        """Accept more text; return the pieces that are certain now, in order and stripped."""
        self._text += delta
        pieces = []
        while (end := _next_cut(self._text, is_first=self._is_first)) is not None:
            pieces.append(self._text[:end].strip())
            self._text = self._text[end:]
            self._is_first = False
        return pieces

    def flush(self) -> list[str]:
        """Return the rest: the reply is complete."""
        pieces = self.push("\n")
        rest, self._text = self._text.strip(), ""
        self._is_first = True
        return [*pieces, rest] if rest else pieces


def _next_cut(text: str, *, is_first: bool) -> int | None:
    """Where the next piece ends, None while that is not certain."""
    limit = _first_limit(text) if is_first else _limit(text)
    last_clause = None
    for found in _CANDIDATE.finditer(text):
        if limit is not None and found.end() > limit:
            break
        if _is_enclosed(text[: found.end()]) or _ENTITY.search(text, 0, found.end()):
            continue
        if found.lastgroup == "comma" and _is_in_address(text[: found.end()]):
            if found.end() == len(text):
                return None
            if not text[found.end()].isspace():
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
    if (
        word in _SHORT_IF_CAPITAL
        or _ALWAYS_SHORT.fullmatch(short)
        or (len(word) == 1 and word.isupper() and word != "I")
    ):
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
    if direction := _DIRECTION.match(following):
        return "go on" if direction.end() < len(following) else "wait"
    return _unless(following, lambda character: not character.isupper())


def _unless(following: str, goes_on: Callable[[str], bool]) -> _Verdict:
    found = _NEXT_CHARACTER.match(following)
    if found is None:
        return "wait"
    return "go on" if goes_on(found[1]) else "cut"


def _limit(text: str) -> int | None:
    """Where a run-on must be cut, None while it is not one.  Code is never torn."""
    for count, word in enumerate(_WORD.finditer(text), start=1):
        if count < MAX_PIECE_WORDS or _is_in_code(text[: word.end()]):
            continue
        if count >= _MOST_WORDS or not _is_between_figures(text, word.end()):
            return word.end() - 1
    return None


def _is_between_figures(text: str, at: int) -> bool:
    """A telephone number has blanks in it; what comes next may not be known yet."""
    before, after = text[at - 2], text[at:].lstrip()
    return (before.isdigit() or before in ")-+$") and (
        not after or after[0].isdigit() or after[0] in "(-+$%"
    )


def _first_limit(text: str) -> int | None:
    """Where a first piece without any mark is cut: before a word that begins a phrase."""
    for count, word in enumerate(_WORD.finditer(text), start=1):
        before = text[: word.start()]
        starts = word[0].strip().casefold()
        is_phrase = (count > _FIRST_PHRASE_WORDS and _CONJUNCTION.fullmatch(starts)) or (
            count > _FIRST_LONG_PHRASE_WORDS and _PREPOSITION.fullmatch(starts)
        )
        if is_phrase and not _is_enclosed(before):
            return word.start()
        if count >= _FIRST_MOST_WORDS and not _is_enclosed(text[: word.end()]):
            return word.end() - 1
    return None


def _is_enclosed(text: str) -> bool:
    """Within a code fence or the text of a link, where a cut would bare the mark-up."""
    is_in_link = text.count("[") > text.count("]")
    return is_in_link or _is_in_code(text) or bool(_IN_MARKUP.search(text))


def _is_in_address(text: str) -> bool:
    token = text.rsplit(maxsplit=1)[-1]
    return "/" in token or "@" in token


def _is_in_code(text: str) -> bool:
    return text.count("```") % 2 == 1


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, text))
