"""Numbers in speech: digits and counts out of recognized words, and back to words."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from gateway.script.words import NUMBER_WORDS, tokens

# What recognizers write for spoken digits although it may be an ordinary word.
HOMOPHONES = {"to": "2", "too": "2", "for": "4", "fore": "4", "ate": "8", "won": "1", "tree": "3"}
_DIGIT_WORDS = {
    "oh": "0", "o": "0", "nought": "0", "naught": "0", "null": "0", "nil": "0", "ou": "0",
    "niner": "9", "nein": "9", "fife": "5", "sicks": "6", "sics": "6", "thre": "3", "wan": "1",
    "zeros": "0", "ones": "1", "twos": "2", "threes": "3", "fours": "4", "fives": "5",
    "sixes": "6", "sevens": "7", "eights": "8", "nines": "9",
}  # fmt: skip
_TIMES = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
_CORRECTION = re.compile(
    r"\b(?:no,? wait|no,? sorry|i mean|i meant|sorry|correction|scratch that|actually|no)\b"
)
_ONES = {number: word for word, number in NUMBER_WORDS.items()}


def digit_string(text: str, lengths: Collection[int]) -> str:
    """Collect the digits that a caller dictated.

    Understands single digits, "1-0-0-0-1", "double five", "fifty five", "eight hundred", and
    homophones ("to", "for", "oh") where they stand among digits.  After a correction ("no,
    sorry") only what follows counts if that is complete.

    Args:
        text: what was recognized.
        lengths: how many digits are a complete answer; decides doubtful homophones.

    Returns:
        Digits, possibly too few or too many; empty when there are none.
    """
    candidates = [text]
    if correction := list(_CORRECTION.finditer(text.lower())):
        last = correction[-1]
        candidates = [text[last.end() :], text[: last.start()] + " " + text[last.end() :]]
    for part in candidates:
        for mode in ("ends", "edges", "strict"):
            if len(digits := _read(tokens(part), mode)) in lengths:
                return digits
    return _read(tokens(candidates[-1]), "ends")


def _read(heard: Sequence[str], mode: str) -> str:
    heard = [word for word in heard if word not in {",", "and"}]
    sure = [_is_sure(word) for word in heard]
    out: list[str] = []
    repeat = 1
    index = 0
    while index < len(heard):
        word = heard[index]
        if word in _TIMES:
            repeat, index = _TIMES[word], index + 1
            continue
        value, used = _value(heard, index, sure, mode)
        out.append(value * repeat if value else "")
        repeat, index = 1, index + used
    return "".join(out)


def _is_sure(word: str) -> bool:
    return word.isdigit() or word in _DIGIT_WORDS


def _value(heard: Sequence[str], index: int, sure: Sequence[bool], mode: str) -> tuple[str, int]:
    word = heard[index]
    following = heard[index + 1] if index + 1 < len(heard) else ""
    if word.isdigit():
        if following in {"hundred", "thousand"} and len(word) == 1:
            return word + ("00" if following == "hundred" else "000"), 2
        if len(word) == 2 and word[1] == "0" and len(following) == 1 and "1" <= following <= "9":
            return (word[0] + following, 2) if word != "10" else (word, 1)
        return word, 1
    if word in _DIGIT_WORDS:
        return _DIGIT_WORDS[word], 1
    if word in HOMOPHONES and mode != "strict":
        before = any(sure[:index][-2:])
        after = any(sure[index + 1 :][:2])
        is_end = index in {0, len(heard) - 1}
        counts = (before and after) or ((mode == "edges" or is_end) and (before or after))
        counts = counts or len(heard) == 1
        return (HOMOPHONES[word] if counts else ""), 1
    return "", 1


_COUNT_WORDS = {
    "a": 1, "an": 1, "another": 1, "single": 1, "couple": 2, "pair": 2, "both": 2, "few": 3,
    "dozen": 12,
}  # fmt: skip


def count(heard: Sequence[str], index: int) -> tuple[int, int]:
    """Read a count at one place of a sentence: "two", "21", "twenty one", "a couple of".

    Returns:
        The number and how many words it took; (0, 0) when there is none.
    """
    word = heard[index]
    following = heard[index + 1] if index + 1 < len(heard) else ""
    if word == "half" and list(heard[index + 1 : index + 3]) in (["a", "dozen"], ["dozen", "of"]):
        return 6, 3
    if word in {"a", "the"} and following in {"couple", "pair", "few", "dozen"}:
        word, used = following, 2
    else:
        used = 1
    if word in _COUNT_WORDS:
        number = _COUNT_WORDS[word]
    elif word.isdigit() and len(word) <= 6:
        number = int(word)
        if number in range(20, 100, 10) and len(following) == 1 and following in "123456789":
            number, used = number + int(following), used + 1
        elif following == "dozen":
            number, used = number * 12, used + 1
        elif following == "hundred" and number < 10:
            number, used = number * 100, used + 1
    else:
        return 0, 0
    if index + used < len(heard) and heard[index + used] == "of":
        used += 1
    return number, used


_HOUR_LEADS = frozenset({"at", "past"})
"""Words before an hour that do not stand before a count."""


def quantity(text: str, *, is_asked: bool = True) -> int | None:
    """Read the last count in a sentence, digits before "a".

    Args:
        text: what was recognized.
        is_asked: False = the caller was not asked for it: "a" counts nothing then.
    """
    heard = [word for word in tokens(text) if word != ","]
    if is_asked and len(heard) == 1 and heard[0] in HOMOPHONES:
        return int(HOMOPHONES[heard[0]])
    found: list[tuple[bool, int]] = []
    index = 0
    while index < len(heard):
        number, used = count(heard, index)
        if used and hour_evidence(heard, index, _HOUR_LEADS) == 0:
            found.append((heard[index].isdigit(), number))
        elif heard[index] in {"none", "nothing"} and is_asked:
            found.append((True, 0))
        index += used or 1
    digits = [number for is_digit, number in found if is_digit]
    if digits or not found or not is_asked:
        return digits[-1] if digits else None
    return found[-1][1]


def hour_evidence(heard: Sequence[str], index: int, leads: Collection[str]) -> int:
    """Return how surely a number is an hour: 0 not at all, 1 by what leads to it, 2 by itself."""
    behind = heard[index + 1 : index + 3]
    if ":" in heard[index] or {"am", "pm", "oclock"} & set(behind):
        return 2
    return int(index > 0 and heard[index - 1] in leads)


def say_number(number: int) -> str:
    """Spell a number: 21 -> "twenty-one", 1204 -> "one thousand two hundred four"."""
    if number < 0:
        return "minus " + say_number(-number)
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _ONES[tens * 10] + (f"-{_ONES[ones]}" if ones else "")
    for size, word in (
        (10**9, "billion"),
        (10**6, "million"),
        (1000, "thousand"),
        (100, "hundred"),
    ):
        if number >= size:
            head, rest = divmod(number, size)
            return f"{say_number(head)} {word}" + (f" {say_number(rest)}" if rest else "")
    raise AssertionError(number)


def say_digits(digits: str) -> str:
    """Spell digits in groups as people read numbers aloud: 5550199 -> "five five five, ..."."""
    names = [_ONES[int(digit)] for digit in digits if digit in "0123456789"]
    sizes = {7: (3, 4), 10: (3, 3, 4), 11: (1, 3, 3, 4)}.get(len(names), ())
    if not sizes:
        sizes = (3,) * (len(names) // 3) if len(names) % 3 == 0 else ()
    if not sizes:
        sizes = (4,) * ((len(names) + 3) // 4)
    groups, at = [], 0
    for size in sizes:
        groups.append(" ".join(names[at : at + size]))
        at += size
    return ", ".join(group for group in groups if group)
