"""Recognized text -> comparable words, and how alike two words are.  English."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_TEENS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {word: number for number, word in enumerate(_TEENS.split())} | {
    word: 10 * tens for tens, word in enumerate(_TENS.split(), 2)
}
_CONTRACTIONS = {
    "i'd": "i would", "i'll": "i will", "i'm": "i am", "it's": "it is", "that's": "that is",
    "what's": "what is", "don't": "do not", "can't": "can not", "cannot": "can not",
    "won't": "will not", "let's": "let us", "isn't": "is not", "didn't": "did not",
    "wasn't": "was not", "doesn't": "does not", "you're": "you are", "we're": "we are",
    "o'clock": "oclock", "there's": "there is", "where's": "where is", "when's": "when is",
    "who's": "who is", "i've": "i have", "gonna": "going to", "wanna": "want to",
    "gimme": "give me", "lemme": "let me", "ok": "okay", "thats": "that is", "its": "it is",
    "im": "i am", "dont": "do not",
}  # fmt: skip
_PART = re.compile(r"[0-9]+:[0-9]+|[0-9]+|[a-z]+(?:'[a-z]+)?|[,.;!?&]")
_MAX_TOKENS = 400  # a turn of 30 s has about a hundred words; what is beyond is noise


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[str, ...]:
    """Split into lower-case words, digit runs, `3:30` and commas.

    Contractions are spelled out, number words become digits ("twelve" -> "12"), any stop mark
    becomes ",".
    """
    plain = unicodedata.normalize("NFKD", text).replace("\u2019", "'").lower()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", plain)
    plain = re.sub(r"(?<=[0-9])[.,](?=[0-9]{3}\b)", "", plain)
    out: list[str] = []
    for found in _PART.findall(plain):
        if found == "&":
            out.append("and")
        elif not found[0].isalnum():
            out.append(",")
        else:
            spelled = _CONTRACTIONS.get(found, found.removesuffix("'s").replace("'", ""))
            out.extend(str(NUMBER_WORDS.get(word, word)) for word in spelled.split())
    return tuple(out[:_MAX_TOKENS])


def words(text: str) -> tuple[str, ...]:
    """Like `tokens`, without the commas."""
    return tuple(part for part in tokens(text) if part != ",")


def vocabulary(text: str) -> frozenset[str]:
    """Make a set of the words of a text, for word lists that stay readable."""
    return frozenset(text.split())


def distance(one: str, other: str, limit: int) -> int:
    """Count the edits (insert, drop, replace, swap adjacent letters) between two words.

    Returns:
        The number of edits, or `limit + 1` when it is more than `limit`.
    """
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        row = [i]
        for j, right in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before, above = above, row
    return min(above[-1], limit + 1)


def stem(word: str) -> str:
    """Cut plural and -ing endings."""
    for ending, least in (("ing", 6), ("es", 5), ("s", 4)):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            cut = word[: -len(ending)]
            return cut if ending != "es" or cut.endswith(("s", "x", "ch", "sh")) else word[:-1]
    return word


@lru_cache(maxsize=65536)
def likeness(heard: str, wanted: str) -> float:
    """Score two words: 1 the same, 0.95 the same stem, 0.8 a slip of the recognizer, 0 different.

    Words of fewer than five letters must be the same: "tea" is no "ten".
    """
    if heard == wanted:
        return 1.0
    if stem(heard) == stem(wanted):
        return 0.95
    size = min(len(heard), len(wanted))
    if size < 5 or heard[0].isdigit() or wanted[0].isdigit():
        return 0.0
    if size < 7 and heard[0] != wanted[0]:  # "there" is no "where"
        return 0.0
    limit = 1 if size < 8 else 2
    return 0.8 if distance(heard, wanted, limit) <= limit else 0.0


def starts(phrase: tuple[str, ...], heard: tuple[str, ...], at: int) -> bool:
    """Return whether a phrase stands at one place of a sentence, each word at least alike."""
    part = heard[at : at + len(phrase)]
    return len(part) == len(phrase) and all(map(likeness, part, phrase))


def find(phrase: tuple[str, ...], heard: tuple[str, ...]) -> int:
    """Find a phrase as consecutive words; its first place, or -1."""
    last = len(heard) - len(phrase)
    return next((at for at in range(last + 1) if starts(phrase, heard, at)), -1)
