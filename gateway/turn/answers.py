"""Is the answer to the bot's question complete?  Pure rules per kind of expectation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

Answer = Literal["expected", "dictating", "other"]
"""Complete, on the way, or something else than was asked for."""

_DIGIT_WORDS = frozenset("zero oh o one two three four five six seven eight nine".split())  # noqa: SIM905
_TEN_WORDS = frozenset(
    """ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen""".split()  # noqa: SIM905
)
_TENS = frozenset("twenty thirty forty fifty sixty seventy eighty ninety".split())  # noqa: SIM905
_REPEATED = {"double": 1, "triple": 2}
_NUMBER_WORDS = _DIGIT_WORDS | _TEN_WORDS | _TENS | {"a", "an", "half", "dozen", "couple", "both"}
_YES_NO = frozenset(
    "yes no yeah yep yup nope nah sure okay ok correct right exactly please".split()  # noqa: SIM905
)
_TIME_ENDS = frozenset(
    """am pm o'clock noon midnight morning afternoon evening tonight today tomorrow monday tuesday
    wednesday thursday friday saturday sunday now past thirty fifteen""".split()  # noqa: SIM905
)
_NAMING = frozenset("is it's name i'm this that am my it called the".split())  # noqa: SIM905
_LETTER_SOUNDS = frozenset(
    """ay be bee see sea dee gee jay kay el ell em en oh pea pee queue cue are our ess tea tee you
    double why zee zed eye ex eff as""".split()  # noqa: SIM905
)
"""As what a recognizer hears single letters."""
_LETTERS_ALONE = frozenset({"yes", "why"})
"""What "S" and "Y" are heard as; a caller who says "yes" to that question goes on, too."""
_OTHER_WORDS = frozenset(
    """yes no nope sure okay hello sorry pardon what why wait stop help cancel operator none never
    unknown skip repeat goodbye""".split()  # noqa: SIM905
)
"""Said instead of a number or of letters."""
_ASKING = frozenset(
    """what what's why which who how when where can could would do does did is are sorry pardon
    excuse again""".split()  # noqa: SIM905
)
_LONGEST_NUMBER = 15
"""Digits of a telephone number, at most (ITU-T E.164)."""
_FEW_WORDS = 4
_STUTTER = re.compile(r"(\b\w+\b)(?:[\s,.-]+\1){4,}\W*$", re.IGNORECASE)
"""A recognizer at the end of its wits repeats itself."""
_WORD = re.compile(r"[\w']+")
_CLOCK = re.compile(r"\d{1,2}[:.]\d{2}|\b[ap]\.?\s?m\b", re.IGNORECASE)
_MAIL = re.compile(r"\S+@\S+\.(?:[a-z]{3,}|[a-z]{2}\.[a-z]{2})\W*$", re.IGNORECASE)
_SPOKEN_MAIL = re.compile(
    r"\bat\b.+\b(?:dot|\.)\s*(?:com|net|org|edu|gov|info|(?:co|com|org)\s*(?:dot|\.)\s*[a-z]{2})\W*$",
    re.IGNORECASE | re.DOTALL,
)
_SPELLED = re.compile(r"(?:\b[a-z]\b[\s.,-]*){2,}\W*$", re.IGNORECASE)


def look_at_answer(text: str, kind: str, digits: int | None = None) -> Answer:
    """Judge a transcript by what the bot has asked for.

    Args:
        text: what was understood, not empty.
        kind: `ExpectKind`.
        digits: how many digits make the answer complete, where that is known.
    """
    if kind in {"digits", "phone_number"}:
        return _look_at_digits(text, kind, digits)
    judge = _JUDGES.get(kind)
    return "other" if judge is None else judge(text, _WORD.findall(text.lower()))


def digit_count(text: str) -> int:
    """How many spoken or written digits a text holds."""
    count = repeated = 0
    for word in _WORD.findall(text.lower().replace("-", " ").replace("_", " ")):
        found = sum(c.isdigit() for c in word)
        if word in _DIGIT_WORDS:
            found = 1
        elif word in _TEN_WORDS or word in _TENS:
            found = 2
        if found:
            count += found + repeated
        repeated = _REPEATED.get(word, 0)
    return count


def _look_at_digits(text: str, kind: str, digits: int | None) -> Answer:
    found = digit_count(text)
    if found == 0:  # a digit misheard ("for"), or something else: a question, a refusal
        words = _WORD.findall(text.lower())
        is_asked_back = "?" in text and len(words) > 1 and not _ASKING.isdisjoint(words)
        is_reply = len(words) <= 2 and not _OTHER_WORDS.isdisjoint(words)
        is_misheard = len(words) <= _FEW_WORDS and not is_asked_back and not is_reply
        return "dictating" if is_misheard else "other"
    if _STUTTER.search(text):
        return "dictating"
    if digits is None:
        is_whole = kind == "phone_number" and found >= _LONGEST_NUMBER
    else:
        is_whole = found == digits  # more are hardly the caller's
    return "expected" if is_whole else "dictating"


def _look_at_yes_no(_text: str, words: list[str]) -> Answer:
    short = 0 < len(words) <= 3
    return "expected" if short and words[0] in _YES_NO else "other"


def _look_at_spelling(text: str, words: list[str]) -> Answer:
    """A word that is spelled after it was said is complete with its last letter."""
    letters = _SPELLED.search(text)
    if letters is not None:
        spelled = "".join(c for c in letters.group().lower() if c.isalpha())
        said = _WORD.findall(text[: letters.start()].lower())
        return "expected" if spelled in said and len(spelled) > 2 else "dictating"
    heard_as_letters = sum(len(word) == 1 or word in _LETTER_SOUNDS for word in words)
    is_talk = len(words) >= 4 and heard_as_letters < len(words) / 2
    if len(words) == 1 and words[0] in _LETTERS_ALONE:
        return "dictating"
    return "other" if is_talk or not _OTHER_WORDS.isdisjoint(words) else "dictating"


def _look_at_email(text: str, words: list[str]) -> Answer:
    if _MAIL.search(text) or _SPOKEN_MAIL.search(text):
        return "expected"
    if text.rstrip().endswith("?") and len(words) >= 3 and "at" not in words and "@" not in text:
        return "other"
    return "dictating"


def _look_at_name(text: str, words: list[str]) -> Answer:
    if _SPELLED.search(text):
        return _look_at_spelling(text, words)
    return "dictating" if words and words[-1] in _NAMING else "other"


def _look_at_time(text: str, words: list[str]) -> Answer:
    is_whole = bool(_CLOCK.search(text)) or bool(words and words[-1] in _TIME_ENDS)
    return "expected" if is_whole else "other"


def _look_at_quantity(_text: str, words: list[str]) -> Answer:
    """A number and at most a word or two; twenty may become twenty-five."""
    numbers = [word for word in words if word in _NUMBER_WORDS or word.isdigit()]
    ends_in_tens = bool(words) and words[-1] in _TENS
    return "expected" if numbers and len(words) <= 3 and not ends_in_tens else "other"


_JUDGES: dict[str, Callable[[str, list[str]], Answer]] = {
    "yes_no": _look_at_yes_no,
    "spelling": _look_at_spelling,
    "email": _look_at_email,
    "name": _look_at_name,
    "time": _look_at_time,
    "quantity": _look_at_quantity,
}
