"""How much of a reply the caller heard before it was cut: only this enters the chat history."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.audio.format import LINE
from gateway.audio.speech import LEAD_MS, pause_after_ms

_WORD = re.compile(r"\S+")
_LETTERS_OF_DIGIT = 4
"""A digit takes as long as so many letters."""


def heard_prefix(pieces: Sequence[tuple[str, int]], played_samples: int) -> str:
    """Give the text whose audio was really sent, in whole words; rather a word less than more.

    Args:
        pieces: text and length in `LINE` samples of each piece, in the order they were spoken.
        played_samples: how much of all that the clock thread took.
    """
    heard = []
    left = played_samples
    for text, samples in pieces:
        if left <= 0:
            break
        heard.append(_heard_part(text, samples, left))
        left -= samples
    return " ".join(part for part in heard if part)


def _heard_part(text: str, samples: int, played: int) -> str:
    """Words of one piece that were over, as if every letter took the same time."""
    lead = LEAD_MS * LINE.sample_rate_hz // 1000
    speech = samples - lead - pause_after_ms(text) * LINE.sample_rate_hz // 1000
    share = (played - lead) / speech if speech > 0 else played / max(samples, 1)
    if share >= 1:
        return text.strip()
    end = 0
    for word in _WORD.finditer(text):
        if _duration(text[: word.end()]) > share * _duration(text):
            break
        end = word.end()
    return text[:end].strip()


def _duration(text: str) -> int:
    return sum(_LETTERS_OF_DIGIT if letter.isdigit() else 1 for letter in text)
