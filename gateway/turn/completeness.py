"""Does the text look like all the caller wants to say?  Pure rules on the transcript."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Look = Literal["expected", "whole", "unfinished", "dictating"]

# Words after which an English speaker goes on.  A recognizer ends almost every text with a full
# stop, so the stop alone proves nothing.
_OPEN_WORDS = frozenset(
    """a an and are at because between but by can could did do does for from had has have how if in
    into is it's its just like my need of on or our plus so than that the their then these
    this those to um uh er erm hmm via want was we were what when where which while who will with
    without would your i i'd i'll i'm i've let's maybe also about around""".split()  # noqa: SIM905
)
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
    if not words or words[-1] in _OPEN_WORDS or text.rstrip().endswith((",", "-", "…", "...")):
        return "dictating" if wanted.kind in _DICTATED else "unfinished"
    if text.rstrip().endswith((".", "?", "!")):
        return "whole"
    return "unfinished"


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
