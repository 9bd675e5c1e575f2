"""Letters in speech: "J O H N", "j as in juliett", "double l" -> "JOHNLL", and back to words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from gateway.script.words import NUMBER_WORDS, likeness, vocabulary

_CODE_WORDS = sorted(
    vocabulary(
        "alfa alpha bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima "
        "mike november oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu"
    )
)
# How recognizers write the names of letters.  The first could hardly be anything else beside
# letters; the second are ordinary words, which need letters around them.
_SURE_NAMES = {
    "dee": "d", "ee": "e", "eff": "f", "gee": "g", "jee": "g", "aitch": "h", "haitch": "h",
    "jay": "j", "kay": "k", "el": "l", "ell": "l", "em": "m", "pee": "p", "cue": "q", "queue": "q",
    "ar": "r", "ess": "s", "tee": "t", "vee": "v", "ex": "x", "wye": "y", "zee": "z", "zed": "z",
}  # fmt: skip
_DOUBTFUL_NAMES = {
    "bee": "b", "be": "b", "see": "c", "sea": "c", "age": "h", "eye": "i",
    "en": "n", "oh": "o", "are": "r", "tea": "t", "you": "u", "why": "y",
}  # fmt: skip
_MARKS = {"dash": "-", "hyphen": "-", "apostrophe": "'"}
_MARK_NAMES = {"-": "dash", "'": "apostrophe"}
_TIMES = {"double": 2, "triple": 3, "treble": 3}
_SAID_BETWEEN = vocabulary("and then next capital uppercase lowercase letter")
_CORRECTIONS = vocabulary("no sorry mean meant wait correction actually")
_DIGITS = {word: str(number) for word, number in NUMBER_WORDS.items() if number < 10}
_NAMES = _SURE_NAMES | _MARKS | _DIGITS
_CLUSTER = re.compile(r"\b(?!OK\b)[A-Z]{2,5}\b")
_ATOM = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]")
_MOST_ATOMS = 200


class Item(NamedTuple):
    """What one or more words of a spelled text stand for."""

    text: str
    """A letter, a digit or a mark, possibly more than once; empty for a word between letters."""
    used: int
    """How many words it took."""
    weight: int = 1
    """1 = surely spelled, 0 = a letter or a word ("a", "i"), -1 = rather a word ("see")."""


def atoms(text: str) -> list[str]:
    """Split into lower-case words and single digits; letters stuck together ("ATL") come apart."""
    plain = unicodedata.normalize("NFKD", text).replace("\u2019", "'")
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    if not plain.isupper() or " " not in plain.strip():  # some recognizers write capitals only
        plain = _CLUSTER.sub(lambda found: " ".join(found[0]), plain)
    plain = re.sub(r"\bx[- ]ray\b", "xray", plain.lower())
    plain = re.sub(r"\bi (?=mean|meant|said|spell|think|am|have)", "", plain)
    return _ATOM.findall(plain)[:_MOST_ATOMS]


def spelled(text: str, *, is_asked: bool = True) -> str | None:
    """Read a spelled name or code; the last run of letters after a correction, else the longest.

    Args:
        text: what was recognized.
        is_asked: False = the caller was not asked for it: at least three sure letters then.

    Returns:
        Upper-case letters, digits, "-" and "'"; None when nothing was spelled.
    """
    heard = atoms(text)
    corrected = [at for at, word in enumerate(heard) if word in _CORRECTIONS]
    parts = [heard[corrected[-1] + 1 :], heard] if corrected else [heard]
    for part in parts:
        runs = _runs(part)
        is_alone = len(runs) == 1 and is_asked
        found = [run for run in runs if is_alone or _is_sure(run, is_asked=is_asked)]
        found = [run for run in found if _is_spelled(run)]
        if found:
            letters = max(("".join(item.text for item in run) for run in found), key=len)
            return letters.strip("-'").upper()
    return None


def item_at(heard: Sequence[str], at: int) -> Item | None:
    """Read one letter, digit or mark; None when the word is none."""
    once = _once(heard, at)
    if once is None and heard[at] in _TIMES and at + 1 < len(heard):
        repeated = _once(heard, at + 1)
        if repeated and repeated.text:
            return Item(repeated.text * _TIMES[heard[at]], repeated.used + 1)
    return once


def _once(heard: Sequence[str], at: int) -> Item | None:
    if code := _coded(heard, at):
        return code
    if heard[at] == "double" and at + 1 < len(heard) and heard[at + 1] in {"u", "you"}:
        return Item("w", 2)
    return _single(heard[at])


def _coded(heard: Sequence[str], at: int) -> Item | None:
    """Read "j as in juliett", "s like sugar", "juliett": what recognizers get right is the word."""
    behind = list(heard[at + 1 : at + 4])
    if len(behind) == 3 and behind[0] in {"as", "has", "is"} and behind[1] == "in":
        return Item(_initial(heard[at], behind[2]), 4)
    if len(behind) >= 2 and _single(heard[at]):
        is_code = behind[0] in {"4", "four"} and _code(behind[1])  # "b 4 bravo", not "b 4 2"
        if is_code or (behind[0] in {"for", "like"} and behind[1][0].isalpha()):
            return Item(_initial(heard[at], behind[1]), 3)
    return None


def _code(word: str) -> str | None:
    """Return the letter of a word of the telephone alphabet, also slightly misheard."""
    return next((code[0] for code in _CODE_WORDS if likeness(word, code) >= 0.8), None)


def _initial(letter: str, word: str) -> str:
    return "x" if letter in {"x", "ex"} and word.startswith("ex") else word[0]


def _single(word: str) -> Item | None:
    if word in _DOUBTFUL_NAMES:
        return Item(_DOUBTFUL_NAMES[word], 1, weight=-1)
    if len(word) == 1:
        return Item(word, 1, weight=0 if word in {"a", "i"} else 1)
    plain = _NAMES.get(word) or _code(word)
    if plain is None:
        return Item("", 1, weight=0) if word in _SAID_BETWEEN else None
    return Item(plain, 1)


def _runs(heard: Sequence[str]) -> list[list[Item]]:
    """Cut a sentence into runs of what can be letters."""
    runs: list[list[Item]] = [[]]
    at = 0
    while at < len(heard):
        item = item_at(heard, at)
        if item is None:
            runs.append([])
        else:
            runs[-1].append(item)
        at += item.used if item else 1
    return runs


def _letters(run: Sequence[Item]) -> list[Item]:
    return [item for item in run if item.text and item.text not in _MARK_NAMES]


def _is_spelled(run: Sequence[Item]) -> bool:
    """Return whether a run is no chain of short words."""
    letters = _letters(run)
    return (
        sum(len(item.text) for item in letters) >= 2
        and any(item.text.isalpha() for item in letters)
        and sum(item.weight for item in letters) >= 0
    )


def _is_sure(run: Sequence[Item], *, is_asked: bool) -> bool:
    """Return whether a run within other words is meant as letters; "a hotel" is not."""
    letters = _letters(run)
    sure = sum(item.weight > 0 for item in letters)
    return sure >= (3 if not is_asked else 2 if len(letters) == 2 else 1)


def say_spelled(letters: str) -> str:
    """Speak letters one by one: "JO-3" -> "J, O, dash, 3"."""
    return ", ".join(_MARK_NAMES.get(letter, letter) for letter in letters)
