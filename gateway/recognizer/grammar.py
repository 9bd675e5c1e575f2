"""What a dictated answer may consist of: words in any order, as a tree of tokens.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Literal

from gateway.recognizer.tokens import END, Vocabulary

GrammarName = Literal["digits", "letters"]

_DIGITS = tuple("zero oh one two three four five six seven eight nine".split())  # noqa: SIM905
_GROUPS = tuple(
    """ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
    thirty forty fifty sixty seventy eighty ninety hundred thousand double triple""".split()  # noqa: SIM905
)
_AROUND_DIGITS = tuple(
    """my phone number is it's it its that's the area code and then dash plus extension um uh yes
    yeah sure okay so""".split()  # noqa: SIM905
)
_CODE_WORDS = tuple(
    """alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november
    oscar papa quebec romeo sierra tango uniform victor whiskey x-ray yankee zulu""".split()  # noqa: SIM905
)
_AROUND_LETTERS = tuple("double triple dash hyphen apostrophe and then".split())  # noqa: SIM905
_MARKS = (",", ".", "-")
_TELLING = {
    "digits": re.compile(rf"\d|\b(?:{'|'.join([*_DIGITS, *_GROUPS])})\b", re.IGNORECASE),
    "letters": re.compile(rf"\b[a-z]\b|\b(?:{'|'.join(_CODE_WORDS)})\b", re.IGNORECASE),
}
_LOSS_PER_WORD = 2.0
"""Natural-log odds that the best dictation may lose to free text, per digit or letter in it.
Measured: recorded and synthetic numbers of seven digits or more lose 0 (p50) to 4 (p95); "wait a
second", "no" and the like by synthetic voices 1.9 to 14 and more, and hold one digit or two."""
_MOST_LOSS = 8.0
_LEAST_MEAN = -2.5
"""Per token: below it, one letter for a whole sentence only wins because it is short."""


@dataclass(slots=True)
class Node:
    """A place within a word."""

    children: dict[int, Node] = field(default_factory=dict)
    """By token."""
    ends_word: bool = False


class Grammar:
    """Words in any order, as the model writes them, and the marks between them."""

    def __init__(self, name: GrammarName, words: Iterable[list[int]]) -> None:
        """Build the tree; each word is its tokens."""
        self.name = name
        self.root = Node()
        for word in words:
            node = self.root
            for token in word:
                node = node.children.setdefault(token, Node())
            node.ends_word = True
        self.root.ends_word = True

    def tokens_after(self, node: Node) -> list[int]:
        """Return which tokens may come next; END where all may be said."""
        if not node.ends_word or node is self.root:
            return [*node.children, END] if node is self.root else [*node.children]
        return [*{**self.root.children, **node.children}, END]

    def follow(self, node: Node, token: int) -> Node:
        """Advance by one of `tokens_after`, never END."""
        return node.children.get(token) or self.root.children[token]

    def suits(self, text: str, loss: float, mean: float) -> bool:
        """Return whether this is what was said, rather than something else than was asked for.

        Args:
            text: the best of this grammar.
            loss: natural-log odds of what the recognizer writes freely against it.
            mean: its own log-probability per token.
        """
        told = len(_TELLING[self.name].findall(text))
        is_close = loss <= min(_LOSS_PER_WORD * told, _MOST_LOSS)
        return told > 0 and is_close and mean >= _LEAST_MEAN


def digits(vocabulary: Vocabulary) -> Grammar:
    """Dictated numbers: "4-1-5, five double five", "my number is eight hundred", "fifty-five"."""
    words = _both_cases([*_DIGITS, *_GROUPS, *_AROUND_DIGITS])
    return Grammar("digits", _tokens(vocabulary, words, "0123456789"))


def letters(vocabulary: Vocabulary) -> Grammar:
    """Spelled names: "S. M. I. T. H.", "S-M", "double l", "b bravo"."""
    words = _both_cases([*_CODE_WORDS, *_AROUND_LETTERS])
    return Grammar("letters", _tokens(vocabulary, words, ascii_uppercase))


GRAMMARS: dict[GrammarName, Callable[[Vocabulary], Grammar]] = {
    "digits": digits,
    "letters": letters,
}


def _tokens(vocabulary: Vocabulary, words: Iterable[str], signs: str) -> list[list[int]]:
    """Words, and single signs with a space before them or without."""
    apart = [vocabulary.encode(word) for word in [*words, *signs]]
    return apart + [vocabulary.encode_glued(sign) for sign in (*signs, *_MARKS)]


def _both_cases(words: Iterable[str]) -> list[str]:
    return [form for word in words for form in (word, word.capitalize())]
