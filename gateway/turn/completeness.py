"""Does the text look like all the caller wants to say?  Pure rules on the transcript."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Look = Literal["expected", "whole", "doubtful", "unfinished", "dictating"]

# Words after which an English speaker goes on.  A recognizer ends almost every text with a full
# stop, so the stop alone proves nothing.
_OPEN_WORDS = frozenset(
    """a an and are at because between but by can could did do does for from had has have how if in
    into is it's its just like my need of on or our plus so than that the their then these
    this those to um uh er erm hmm via want was we were what when where which while who will with
    without would your i i'd i'll i'm i've let's maybe also about around""".split()  # noqa: SIM905
)
# Where a question may well end although most sentences go on: "What drinks do you have?"
_QUESTION_WORDS = frozenset("what where which who whose when why how".split())  # noqa: SIM905
_QUESTION_ENDS = frozenset(
    "about at do for from have in is like need on want was were with are to".split()  # noqa: SIM905
)
_PRONOUNS = frozenset("you i we they he she it that this those these there".split())  # noqa: SIM905
_DIGIT_WORDS = frozenset("zero oh one two three four five six seven eight nine".split())  # noqa: SIM905
_DICTATED = frozenset({"digits", "phone_number", "name"})
_PHONE_DIGITS = 7
_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The part of the dialogue's expectation that matters for the end of a turn."""

    kind: str = "free"
    digits: int | None = None


def look(text: str, choice: str | None, wanted: Wanted) -> Look:
    """Judge a transcript.

    Args:
        text: what was understood so far, not empty.
        choice: the expected phrase that recognition is sure of, if any.
        wanted: what the dialogue expects.
    """
    if choice is not None:
        return "expected"
    if wanted.kind in {"digits", "phone_number"}:
        return _look_at_digits(text, wanted)
    words = _WORD.findall(text.lower())
    if wanted.kind == "yes_no" and words and words[0] in {"yes", "no", "yeah", "nope", "sure"}:
        return "expected" if len(words) <= 3 and words[-1] not in _OPEN_WORDS else "whole"
    if _goes_on(text, words):
        return "dictating" if wanted.kind in _DICTATED else "unfinished"
    if text.rstrip().endswith((".", "?", "!")):
        return "whole"
    return "unfinished"


def _goes_on(text: str, words: list[str]) -> bool:
    if not words or text.rstrip().endswith((",", "-", "…", "...")):
        return True
    return words[-1] in _OPEN_WORDS and not _is_whole_question(text, words)


def _is_whole_question(text: str, words: list[str]) -> bool:
    """Say yes to "Where are you from?" and no to "Where is the?" and "What do you?"."""
    return (
        len(words) >= 4
        and text.rstrip().endswith("?")
        and words[0] in _QUESTION_WORDS
        and words[-1] in _QUESTION_ENDS
        and words[-2] in _PRONOUNS
    )


def digit_count(text: str) -> int:
    """How many spoken or written digits a text holds."""
    count = 0
    for word in _WORD.findall(text.lower().replace("-", " ")):
        if word in _DIGIT_WORDS:
            count += 1
        else:
            count += sum(c.isdigit() for c in word)
    return count


def _look_at_digits(text: str, wanted: Wanted) -> Look:
    enough = wanted.digits or (_PHONE_DIGITS if wanted.kind == "phone_number" else 0)
    found = digit_count(text)
    if found == 0:
        return "whole"  # something else than the number: a question, a refusal
    if wanted.digits is not None and found >= enough:
        return "expected"
    if wanted.kind == "phone_number" and found >= enough:
        return "unfinished"  # may be longer: seven to fifteen digits
    return "dictating"
