"""Words and the sound that carries them, where an engine reports when each begins.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.audio.format import AudioFormat
from gateway.providers.kit.fields import Fields

_REACH = 60
"""Characters within which the next reported word is looked for."""


def words_of(
    alignment: Fields | None, starts_key: str = "char_start_times_ms"
) -> list[tuple[int, str]]:
    """Return each word with the ms at which its sound begins, within the piece that carries it."""
    if alignment is None:
        return []
    characters = alignment.listed("chars")
    starts = alignment.listed(starts_key)
    words: list[tuple[int, str]] = []
    is_between = True
    for character, start in zip(characters, starts, strict=False):
        if not isinstance(character, str) or not isinstance(start, int | float):
            return []
        if words and (character.isspace() or not is_between):
            words[-1] = (words[-1][0], words[-1][1] + character)
        else:
            words.append((int(start), character))
        is_between = character.isspace()
    return words


def parts(
    audio: bytes, words: Sequence[tuple[int, str]], form: AudioFormat
) -> Iterator[tuple[bytes, str]]:
    """Cut a piece of sound where its words begin."""
    if not words:
        yield audio, ""
        return
    bounds = [0]
    for start_ms, _ in words[1:]:
        at = start_ms * form.sample_rate_hz // 1000 * form.sample_bytes
        bounds.append(min(max(at, bounds[-1]), len(audio)))
    for (_, text), begin, end in zip(words, bounds, [*bounds[1:], len(audio)], strict=True):
        yield audio[begin:end], text


class Follower:
    """Finds the words that an engine reports as said in the text that it was given.

    Engines report them with or without punctuation, whole or in parts, and skip some.
    """

    def __init__(self, text: str) -> None:
        """Begin before the first word."""
        lower = text.lower()
        self._text = text
        self._sought = lower if len(lower) == len(text) else text
        self._at = 0

    def add(self, text: str) -> None:
        """Accept the rest of the text."""
        lower = text.lower()
        self._text += text
        self._sought += lower if len(lower) == len(text) else text

    def take(self, reported: str) -> str:
        """Return the part of the text up to the end of a reported word and of its punctuation.

        Empty where the word is not found near by: its letters belong to the one that follows.
        """
        word = " ".join(reported.lower().split())
        if not word:
            return ""
        within = self._at + len(word) + _REACH
        found = self._sought.find(word, self._at, within)
        if found < 0 or (found > self._at and self._sought[found - 1].isalnum()):
            return ""
        end = found + len(word)
        while end < len(self._text) and not self._text[end].isalnum():
            end += 1
        begin, self._at = self._at, end
        return self._text[begin:end]

    def rest(self) -> str:
        """Return what was not reported of the text; empty where nothing was."""
        begin, self._at = self._at, len(self._text)
        return self._text[begin:] if begin else ""
