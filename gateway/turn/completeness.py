"""Does the text look like all the caller wants to say?  Pure rules on the transcript."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gateway.turn.answers import look_at_answer, sounds_dictated

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
# What describes a thing that is still to be named: "I want a large", "get me a double shot".
_DESCRIBING = frozenset(
    """small medium large big regular little short tall double single triple half extra some more
    another hot cold iced ice dark light black white brown strong size sized cup ounce ounces shot
    shots roast roasted one two three four five six seven eight nine ten eleven twelve sixteen
    twenty thirty forty fifty hundred lots""".split()  # noqa: SIM905
)
# Whole turns of one or two words.
_SHORT_TURNS = frozenset(
    """yes no yeah yep nope sure okay ok hello hi hey goodbye bye thanks thank stop wait help
    please sorry pardon what nothing correct right exactly cancel operator agent repeat""".split()  # noqa: SIM905
)
_MAY_BE_DICTATED = frozenset(("free", "name", "yes_no"))
"""What callers answer with a number of their own accord: "Yes, it is five five one..."."""
_FEW_WORDS = 2
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
    answer = look_at_answer(text, wanted.kind, wanted.digits)
    words = _WORD.findall(text.lower())
    is_unasked = answer == "other" and wanted.kind in _MAY_BE_DICTATED
    if answer == "dictating" or (is_unasked and sounds_dictated(text)):
        return "dictating"
    if _goes_on(text, words):
        return "unfinished"
    if answer == "expected":
        return "expected"
    if not text.rstrip(" \"'").endswith((".", "?", "!")):
        return "unfinished"
    return "doubtful" if _is_doubtful(words) else "whole"


def _goes_on(text: str, words: list[str]) -> bool:
    if not words or text.rstrip().endswith((",", "-", "…", "...")):
        return True
    return words[-1] in _OPEN_WORDS and not _is_whole_question(text, words)


def _is_doubtful(words: list[str]) -> bool:
    if len(words) <= _FEW_WORDS:
        return _SHORT_TURNS.isdisjoint(words)
    return words[-1] in _DESCRIBING or words[-1].isdigit()


def _is_whole_question(text: str, words: list[str]) -> bool:
    """Accept "Where are you from?", but not "Where is the?" and "What do you?"."""
    return (
        len(words) >= 4
        and text.rstrip().endswith("?")
        and words[0] in _QUESTION_WORDS
        and words[-1] in _QUESTION_ENDS
        and words[-2] in _PRONOUNS
    )
