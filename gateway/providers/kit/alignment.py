"""Words and the sound that carries them, where an engine reports when each begins.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.audio.format import AudioFormat
from gateway.providers.kit.fields import Fields


def words_of(alignment: Fields | None) -> list[tuple[int, str]]:
    """Return each word with the ms at which its sound begins, within the piece that carries it."""
    if alignment is None:
        return []
    characters = alignment.listed("chars")
    starts = alignment.listed("char_start_times_ms")
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
