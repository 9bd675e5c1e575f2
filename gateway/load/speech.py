"""What SIPp's callers say: G.711 files, spoken by libflite voices other than the bot's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gateway.probe import g711
from gateway.probe.g711 import Samples
from gateway.probe.rtp import SAMPLE_RATE_HZ
from gateway.probe.voices import Voice, render

VOICES: tuple[Voice, ...] = ("awb", "slt", "kal16")
LINES = (
    "Could I have two large lattes and a croissant, please?",
    "When are you open on Saturday?",
    "I would like to change my order from this morning.",
    "Do you have anything without milk?",
    "Please send it to the office on the third floor.",
    "How long will that take?",
    "My colleague wants a small cappuccino with oat milk.",
    "Can you tell me what I have ordered so far?",
    "That sounds good to me.",
    "What does a bag of the dark roast cost?",
    "I will pick it up at half past nine tomorrow.",
    "Is there a table for four people by the window?",
)
"""Said in turns, by SIPp's callers and by the measuring ones."""
ANSWER_S = 6.5
"""Silence after each line: room for an answer of one or two sentences."""
INTERRUPT_AFTER_S = 1.2
CONVERSATION, INTERRUPT = "conversation.ulaw", "interrupt.ulaw"
GENERATED = (CONVERSATION, INTERRUPT)
"""What `write_speech` makes; the scenarios find it in `../media`."""


async def write_speech(folder: Path) -> None:
    """Write the speech files (headerless mu-law, 8 kHz), as SIPp's `rtp_stream` wants them.

    Raises:
        ProviderUnavailable: libflite is not installed.
        OSError: the folder cannot be written to.
    """
    pieces = []
    for number, line in enumerate(LINES):
        pieces += [await render(line, VOICES[number % len(VOICES)]), _silence(ANSWER_S)]
    words = await render("Wait, stop. When do you open tomorrow?", VOICES[0])
    files = {
        CONVERSATION: pieces,
        INTERRUPT: [_silence(INTERRUPT_AFTER_S), words, _silence(20.0)],
    }
    for name, samples in files.items():
        _write(folder / name, samples)


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


def _write(path: Path, pieces: list[Samples]) -> None:
    # SIPp starts over at the end of the file: whole packets of 20 ms loop without a click.
    path.parent.mkdir(parents=True, exist_ok=True)
    pcm = np.concatenate(pieces)
    path.write_bytes(g711.encode(np.pad(pcm, (0, -len(pcm) % 160)), "PCMU"))
