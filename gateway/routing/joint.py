"""Where another engine goes on with what one has begun: no word twice.  Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_WORD = re.compile(r"\S+\s*")
_LETTER = re.compile(r"\w")
_PAUSE_MS = 120
"""Between two words there is no longer one."""
_LEAST_OVERLAP = 2
"""Words that the end of one text and the beginning of the next must share to be a repetition."""


class WholeWords:
    """Passes on a text that is being written, word by word: a word may be cut off by a failure."""

    def __init__(self) -> None:
        self._pending = ""

    def push(self, text: str) -> str:
        """Accept more; return what ends with a whole word."""
        text = self._pending + text
        is_end = text.rstrip("\"')")[-1:] in {".", "?", "!"}
        end = len(text) if is_end else max(text.rfind(mark) for mark in " \n\t") + 1
        self._pending = text[end:]
        return text[:end]

    def flush(self) -> str:
        """Return the rest: there is no more."""
        rest, self._pending = self._pending, ""
        return rest


class Continuation:
    """What a second engine writes, without what it repeats of the first one's words.

    It may begin its answer anew, or with the last sentence: what it writes is kept back while it
    may be a repetition.
    """

    def __init__(self, said: str) -> None:
        """Accept what was said before."""
        self._said = [_bare(word) for word in said.split() if _bare(word)]
        self._written = ""
        self._is_open = bool(self._said)

    def push(self, text: str) -> str:
        """Accept more; return what is new of all so far."""
        if not self._is_open:
            return text
        self._written += text
        words = _WORD.findall(self._written)
        if words and not words[-1][-1].isspace():
            words.pop()
        if self._may_repeat([_bare(word) for word in words if _bare(word)]):
            return ""
        return self.flush()

    def flush(self) -> str:
        """Return what is new of what was kept back: there is no more, or it is no repetition."""
        if not self._is_open:
            return ""
        self._is_open = False
        words = _WORD.findall(self._written)
        repeated = self._repeated([_bare(word) for word in words])
        return "".join(words[repeated:])

    def _may_repeat(self, words: Sequence[str]) -> bool:
        """Return whether more of it could be a repetition: it is one as a whole until now."""
        if len(words) > len(self._said):
            return False
        said = self._said
        return any(
            said[start : start + len(words)] == list(words)
            for start in range(len(said) - len(words) + 1)
        )

    def _repeated(self, words: Sequence[str]) -> int:
        """Return how many pieces of the beginning were said already."""
        spoken = [(index, word) for index, word in enumerate(words) if word]
        best = 0
        for length in range(min(len(spoken), len(self._said)), 0, -1):
            begin = [word for _, word in spoken[:length]]
            is_tail = self._said[-length:] == begin
            is_whole = length == len(self._said)
            if is_tail and (is_whole or length >= _LEAST_OVERLAP):
                best = spoken[length - 1][0] + 1
                break
        return best or self._repeated_anew(spoken)

    def _repeated_anew(self, spoken: Sequence[tuple[int, str]]) -> int:
        """Return how much of it follows the first text from its first word on."""
        common = 0
        for (_, word), said in zip(spoken, self._said, strict=False):
            if word != said:
                break
            common += 1
        return spoken[common - 1][0] + 1 if common >= _LEAST_OVERLAP else 0


class SpeakingRate:
    """How long a voice takes for a letter, learned from whole sentences."""

    def __init__(self, ms_per_letter: float = 1000 / 14) -> None:
        self.ms_per_letter = ms_per_letter

    def learn(self, text: str, speech_ms: float) -> None:
        """Note a sentence that was spoken whole."""
        letters = len(_LETTER.findall(text))
        if letters >= 10 and speech_ms > 0:
            self.ms_per_letter += 0.3 * (speech_ms / letters - self.ms_per_letter)


def unspoken(
    text: str, spoken_ms: float, marks: Sequence[tuple[float, str]], ms_per_letter: float
) -> str:
    """Return what another voice is to say of a sentence that was cut off by a failure.

    A word that was begun counts as said.

    Args:
        text: the whole sentence.
        spoken_ms: how much of its sound there is.
        marks: (where in it, words that begin there), as far as the voice reports them.
        ms_per_letter: of the voice, where it reports no words.
    """
    if spoken_ms <= 0:
        return text
    if marks:
        begun = [mark for mark in marks if mark[0] < spoken_ms]
        letters = sum(len(_LETTER.findall(words)) for _, words in begun)
        at_ms, words = begun[-1] if begun else (0.0, "")
        late_ms = spoken_ms - at_ms - len(_LETTER.findall(words)) * ms_per_letter
        if late_ms > _PAUSE_MS:  # the sound of the next word came, but not its mark
            letters += math.ceil((late_ms - _PAUSE_MS) / ms_per_letter)
    else:
        letters = math.ceil(spoken_ms / ms_per_letter)
    for word in _WORD.finditer(text):
        if letters <= 0:
            return text[word.start() :].strip()
        letters -= len(_LETTER.findall(word[0]))
    return ""


def _bare(word: str) -> str:
    return "".join(_LETTER.findall(word)).lower()
