"""Does the text look like all the caller wants to say?  Pure rules on the transcript."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gateway.languages import language
from gateway.languages.turn_words import TurnWords
from gateway.turn.answers import look_at_answer, sounds_dictated

Look = Literal["expected", "whole", "doubtful", "unfinished", "dictating"]

_ENGLISH = language("en").turns
_MAY_BE_DICTATED = frozenset(("free", "name", "yes_no"))
"""What callers answer with a number of their own accord: "Yes, it is five five one..."."""
_FEW_WORDS = 2
_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The part of the dialogue's expectation that matters for the end of a turn."""

    kind: str = "free"
    digits: int | None = None


def look(
    text: str, choice: str | None, wanted: Wanted, language_words: TurnWords = _ENGLISH
) -> Look:
    """Judge a transcript.

    Args:
        text: what was understood so far, not empty.
        choice: the expected phrase that recognition is sure of, if any.
        wanted: what the dialogue expects.
        language_words: of the caller's language.
    """
    if choice is not None:
        return "expected"
    answer = look_at_answer(text, wanted.kind, wanted.digits, language_words)
    words = _WORD.findall(text.lower())
    is_unasked = answer == "other" and wanted.kind in _MAY_BE_DICTATED
    if answer == "dictating" or (is_unasked and sounds_dictated(text, language_words)):
        return "dictating"
    if _goes_on(text, words, language_words):
        return "unfinished"
    if answer == "expected":
        return "expected"
    if not text.rstrip(" \"'").endswith((".", "?", "!")):
        return "unfinished"
    return "doubtful" if _is_doubtful(words, language_words) else "whole"


def _goes_on(text: str, words: list[str], known: TurnWords) -> bool:
    if not words or text.rstrip().endswith((",", "-", "…", "...")):
        return True
    return words[-1] in known.goes_on_after and not _is_whole_question(text, words, known)


def _is_doubtful(words: list[str], known: TurnWords) -> bool:
    if len(words) <= _FEW_WORDS:
        return known.short_turns.isdisjoint(words)
    return words[-1] in known.describing or words[-1].isdigit()


def _is_whole_question(text: str, words: list[str], known: TurnWords) -> bool:
    """Accept "Where are you from?", but not "Where is the?" and "What do you?"."""
    return (
        len(words) >= 4
        and text.rstrip().endswith("?")
        and words[0] in known.question_words
        and words[-1] in known.question_ends
        and words[-2] in known.pronouns
    )
