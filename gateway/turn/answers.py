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
_DATE_WORDS = frozenset(
    """january february march april may june july august september october november december first
    second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
    fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth""".split()  # noqa: SIM905
)
_NEAR_DAYS = frozenset(("today", "tomorrow", "yesterday"))
_YEAR = re.compile(
    r"\b(?:19|20)\d\d\b|\d[/.-]\d{1,2}[/.-]\d{2,4}\b|\b\w+\W+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{2}\W*$"
    r"|\b(?:nineteen|twenty)[\s-]+(?:oh[\s-]+)?(?:\d\d|one|two|three|four|five|six|seven|eight|nine|ten|eleven"
    r"|twelve|thir\w+|four\w+|fif\w+|six\w+|seven\w+|eigh\w+|nine\w+|twenty|forty)"
    r"|\bthousand\b",
    re.IGNORECASE,
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
_HALF_MAIL = re.compile(
    r"\b(?:at|@)\s*(?:g ?mail|yahoo|hot ?mail|outlook|icloud|aol|gmx|proton ?mail|web)\W*$"
    r"|\be-?mail(?: address)? is\b(?!.*\bat\b.*\bdot\b).{0,40}$|\bat\b.{1,30}\bdot\W*$"
)
_DICTATED_WORD = (
    r"(?:\d[\d-]*|zero|oh|o|one|two|three|four|five|six|seven|eight|nine|double|triple|plus|[a-z])"
)
_INTRODUCED = re.compile(
    r"\b(?:number|code|pin|id|reference|extension|zip|postcode|account|it)(?:'s| is| was)\W*"
    rf"(?:{_DICTATED_WORD}[\s,.-]+){{1,14}}\W*$"
)
"""Digits behind the word that announces them."""
_FEWEST_SINGLE = 3
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


def sounds_dictated(text: str) -> bool:
    """Return whether an unprompted text ends amid a number, letters or an address.

    Three digits or letters said one by one, digits behind "my number is", "ann at gmail".
    """
    lowered = text.lower()
    if _MAIL.search(text) or _SPOKEN_MAIL.search(text):
        return False
    if _HALF_MAIL.search(lowered) or _INTRODUCED.search(lowered):
        return True
    words = _WORD.findall(lowered.replace("-", " "))
    run: list[str] = []
    for word in reversed(words):
        if not (word.isdigit() or word in _DIGIT_WORDS or word in _REPEATED or len(word) == 1):
            break
        run.append(word)
    is_all = len(run) == len(words) and len(run) > 1 and all(map(_is_digit, run))
    if not is_all and not _said_singly(run):
        return False
    return digit_count(" ".join(reversed(run))) < _LONGEST_NUMBER


def _is_digit(word: str) -> bool:
    return word in _DIGIT_WORDS or word in _REPEATED or (len(word) == 1 and word.isdigit())


def _said_singly(run: list[str]) -> bool:
    single = [word for word in run if len(word) == 1 or word in _DIGIT_WORDS]
    return len(single) >= _FEWEST_SINGLE or (len(run) >= 2 and sum(map(len, run)) >= 6
                                             and all(word.isdigit() for word in run))  # fmt: skip


def digit_count(text: str) -> int:
    """Return how many spoken or written digits a text holds."""
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
    if len(words) <= 2 and not _OTHER_WORDS.isdisjoint(words):
        return "other"
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


def _look_at_date(text: str, words: list[str]) -> Answer:
    """A date with its year, as of birth: "March fifth" is half of it."""
    if _YEAR.search(text) or (words and words[-1] in _NEAR_DAYS):
        return "expected"
    has_part = digit_count(text) or not _DATE_WORDS.isdisjoint(words)
    return "dictating" if has_part else "other"


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
    "date": _look_at_date,
    "quantity": _look_at_quantity,
}
