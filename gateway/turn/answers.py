"""Is the answer to the bot's question complete?  Pure rules per kind of expectation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from gateway.languages import language
from gateway.languages.turn_words import TurnWords

Answer = Literal["expected", "dictating", "other"]
"""Complete, on the way, or something else than was asked for."""

_ENGLISH = language("en").turns
_LONGEST_NUMBER = 15
"""Digits of a telephone number, at most (ITU-T E.164)."""
_FEW_WORDS = 4
_STUTTER = re.compile(r"(\b\w+\b)(?:[\s,.-]+\1){4,}\W*$", re.IGNORECASE)
"""A recognizer at the end of its wits repeats itself."""
_WORD = re.compile(r"[\w']+")
_MAIL = re.compile(r"\S+@\S+\.(?:[a-z]{3,}|[a-z]{2}\.[a-z]{2})\W*$", re.IGNORECASE)
_FEWEST_SINGLE = 3
_SPELLED = re.compile(r"(?:\b[a-z]\b[\s.,-]*){2,}\W*$", re.IGNORECASE)


def look_at_answer(
    text: str, kind: str, digits: int | None = None, known: TurnWords = _ENGLISH
) -> Answer:
    """Judge a transcript by what the bot has asked for.

    Args:
        text: what was understood, not empty.
        kind: `ExpectKind`.
        digits: how many digits make the answer complete, where that is known.
        known: the words of the caller's language.
    """
    if kind in {"digits", "phone_number"}:
        return _look_at_digits(text, kind, digits, known)
    judge = _JUDGES.get(kind)
    return "other" if judge is None else judge(text, _WORD.findall(text.lower()), known)


def sounds_dictated(text: str, known: TurnWords = _ENGLISH) -> bool:
    """Return whether an unprompted text ends amid a number, letters or an address.

    Three digits or letters said one by one, digits behind "my number is", "ann at gmail".
    """
    lowered = text.lower()
    if _MAIL.search(text) or known.spoken_mail.search(text):
        return False
    if known.half_mail.search(lowered) or known.introduced.search(lowered):
        return True
    words = _WORD.findall(lowered.replace("-", " "))
    run: list[str] = []
    for word in reversed(words):
        if not (word.isdigit() or word in known.digits or word in known.repeats or len(word) == 1):
            break
        run.append(word)
    is_all = len(run) == len(words) and len(run) > 1 and all(_is_digit(word, known) for word in run)
    if not is_all and not _said_singly(run, known):
        return False
    return digit_count(" ".join(reversed(run)), known) < _LONGEST_NUMBER


def _is_digit(word: str, known: TurnWords) -> bool:
    return word in known.digits or word in known.repeats or (len(word) == 1 and word.isdigit())


def _said_singly(run: list[str], known: TurnWords) -> bool:
    single = [word for word in run if len(word) == 1 or word in known.digits]
    return len(single) >= _FEWEST_SINGLE or (len(run) >= 2 and sum(map(len, run)) >= 6
                                             and all(word.isdigit() for word in run))  # fmt: skip


def digit_count(text: str, known: TurnWords = _ENGLISH) -> int:
    """Return how many spoken or written digits a text holds."""
    count = repeated = 0
    for word in _WORD.findall(text.lower().replace("-", " ").replace("_", " ")):
        found = sum(c.isdigit() for c in word)
        if word in known.digits:
            found = 1
        elif word in known.two_digits:
            found = 2
        if found:
            count += found + repeated
        repeated = known.repeats.get(word, 0)
    return count


def _look_at_digits(text: str, kind: str, digits: int | None, known: TurnWords) -> Answer:
    found = digit_count(text, known)
    if found == 0:  # a digit misheard ("for"), or something else: a question, a refusal
        words = _WORD.findall(text.lower())
        is_asked_back = "?" in text and len(words) > 1 and not known.asking.isdisjoint(words)
        is_reply = len(words) <= 2 and not known.other_words.isdisjoint(words)
        is_misheard = len(words) <= _FEW_WORDS and not is_asked_back and not is_reply
        return "dictating" if is_misheard else "other"
    if _STUTTER.search(text):
        return "dictating"
    if digits is None:
        is_whole = kind == "phone_number" and found >= _LONGEST_NUMBER
    else:
        is_whole = found == digits  # more are hardly the caller's
    return "expected" if is_whole else "dictating"


def _look_at_yes_no(_text: str, words: list[str], known: TurnWords) -> Answer:
    short = 0 < len(words) <= 3
    return "expected" if short and words[0] in known.yes_no else "other"


def _look_at_spelling(text: str, words: list[str], known: TurnWords) -> Answer:
    """A word that is spelled after it was said is complete with its last letter."""
    letters = _SPELLED.search(text)
    if letters is not None:
        spelled = "".join(c for c in letters.group().lower() if c.isalpha())
        said = _WORD.findall(text[: letters.start()].lower())
        return "expected" if spelled in said and len(spelled) > 2 else "dictating"
    heard_as_letters = sum(len(word) == 1 or word in known.letter_sounds for word in words)
    is_talk = len(words) >= 4 and heard_as_letters < len(words) / 2
    if len(words) == 1 and words[0] in known.letters_alone:
        return "dictating"
    return "other" if is_talk or not known.other_words.isdisjoint(words) else "dictating"


def _look_at_email(text: str, words: list[str], known: TurnWords) -> Answer:
    if _MAIL.search(text) or known.spoken_mail.search(text):
        return "expected"
    if len(words) <= 2 and not known.other_words.isdisjoint(words):
        return "other"
    names_at = known.is_mail_at(words) or "@" in text
    if text.rstrip().endswith("?") and len(words) >= 3 and not names_at:
        return "other"
    return "dictating"


def _look_at_name(text: str, words: list[str], known: TurnWords) -> Answer:
    if _SPELLED.search(text):
        return _look_at_spelling(text, words, known)
    return "dictating" if words and words[-1] in known.naming else "other"


def _look_at_time(text: str, words: list[str], known: TurnWords) -> Answer:
    is_whole = bool(known.clock.search(text)) or bool(words and words[-1] in known.time_ends)
    return "expected" if is_whole else "other"


def _look_at_date(text: str, words: list[str], known: TurnWords) -> Answer:
    """A date with its year, as of birth: "March fifth" is half of it."""
    if known.year.search(text) or (words and words[-1] in known.near_days):
        return "expected"
    has_part = digit_count(text, known) or not known.date_words.isdisjoint(words)
    return "dictating" if has_part else "other"


def _look_at_quantity(_text: str, words: list[str], known: TurnWords) -> Answer:
    """A number and at most a word or two; twenty may become twenty-five."""
    numbers = [word for word in words if word in known.number_words or word.isdigit()]
    ends_in_tens = bool(words) and words[-1] in known.open_tens
    return "expected" if numbers and len(words) <= 3 and not ends_in_tens else "other"


_JUDGES: dict[str, Callable[[str, list[str], TurnWords], Answer]] = {
    "yes_no": _look_at_yes_no,
    "spelling": _look_at_spelling,
    "email": _look_at_email,
    "name": _look_at_name,
    "time": _look_at_time,
    "date": _look_at_date,
    "quantity": _look_at_quantity,
}
