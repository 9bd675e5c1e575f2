"""A telephone line with an echo, synthesized: what the far end gives back of what it was sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy import signal

from gateway.audio import g711
from tests.support.speech import speak

RATE = 8000
FRAME_BYTES = 320
BOT = (
    "Welcome to Harbour Coffee, the best place for coffee and cake in the whole town.",
    "You can order something, leave a message, or ask me when we are open.",
    "We have latte, cappuccino, espresso, tea, and hot chocolate, in three sizes.",
)
_BAND = signal.butter(4, (300, 3400), "bandpass", fs=RATE, output="sos")
NOISE_DBFS = -72.0


@cache
def bot_speech(seconds: float = 14.0) -> np.ndarray:
    """The bot's voice at -20 dBFS, a second of silence before it and short pauses within."""
    parts = [np.zeros(RATE)]
    for text in BOT:
        parts += [at_level(speech(text, "rms"), -20.0), np.zeros(RATE * 3 // 5)]
    once = np.concatenate(parts[1:])
    long = np.concatenate([parts[0], np.tile(once, int(seconds * RATE / len(once)) + 1)])
    return long[: int(seconds * RATE) // 160 * 160]


def speech(text: str, voice: str) -> np.ndarray:
    """A voice as a telephone lets it through: 300 to 3400 Hz."""
    samples = np.frombuffer(speak(text, voice), dtype="<i2").astype(np.float64)
    return signal.sosfilt(_BAND, samples)


def at_level(samples: np.ndarray, dbfs: float) -> np.ndarray:
    """Scale so that the loud parts have this level."""
    energies = np.mean(samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2, axis=1)
    active = energies[energies > energies.max() / 3000]
    return samples * 10 ** (dbfs / 20) * 32768 / np.sqrt(active.mean())


def echo_of(sent: np.ndarray, db: float, delay_ms: float, *, seed: int = 0) -> np.ndarray:
    """What a hybrid makes of it: late, quieter and a little smeared (8 ms)."""
    path = np.random.default_rng(seed).standard_normal(64) * np.exp(-np.arange(64) / 11)
    echo = np.convolve(sent, path)[: len(sent)]
    echo *= 10 ** (db / 20) * np.sqrt(np.sum(sent**2) / np.sum(echo**2))
    return np.concatenate([np.zeros(int(delay_ms * RATE / 1000)), echo])[: len(sent)]


def room_echo_of(sent: np.ndarray, db: float, delay_ms: float, *, seed: int = 0) -> np.ndarray:
    """What a loudspeaker in a room makes of it: it rings for 150 ms."""
    count = RATE * 150 // 1000
    path = np.random.default_rng(seed).standard_normal(count)
    path *= np.exp(-6.9 * np.arange(count) / count)
    path[0] = 3.0
    echo = np.convolve(sent, path)[: len(sent)]
    echo *= 10 ** (db / 20) * np.sqrt(np.sum(sent**2) / np.sum(echo**2))
    return np.concatenate([np.zeros(int(delay_ms * RATE / 1000)), echo])[: len(sent)]


def slipped(samples: np.ndarray, slips: Sequence[tuple[float, int]]) -> np.ndarray:
    """What a jitter buffer makes of it that runs dry or full.

    Args:
        samples: what the far end sent.
        slips: (when it happens in seconds, milliseconds): positive = a gap is filled with what
            came before, faded, and all that follows comes later; negative = so much is left out.
    """
    parts, at = [], 0
    for when_s, ms in slips:
        end = int(when_s * RATE) - sum(len(part) for part in parts) + at
        parts.append(samples[at:end])
        if ms > 0:
            parts.append(np.resize(samples[end - RATE // 50 : end], ms * RATE // 1000) * 0.5)
        at = end + max(0, -ms) * RATE // 1000
    parts.append(samples[at:])
    whole = np.concatenate(parts)[: len(samples)]
    return np.pad(whole, (0, len(samples) - len(whole)), "wrap")


def random_slips(seconds: float, every_s: float, seed: int) -> list[tuple[float, int]]:
    """Slips as measured on a busy machine: a gap of 20 to 100 ms, taken back by 10 ms at a time."""
    random = np.random.default_rng(seed)
    slips: list[tuple[float, int]] = []
    at_s = random.uniform(0.5, 1.5) * every_s
    while at_s < seconds - 1:
        gap_ms = int(random.choice([20, 20, 20, 40, 100]))
        slips.append((at_s, gap_ms))
        for _ in range(gap_ms // 10):
            at_s += random.uniform(0.4, 2.0)
            slips.append((at_s, -10))
        at_s += random.uniform(0.5, 1.5) * every_s
    return [slip for slip in slips if slip[0] < seconds - 1]


def on_the_line(samples: np.ndarray, seed: int = 1) -> bytes:
    """With the line's own noise, through mu-law."""
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    mixed = samples + noise * 32768 * 10 ** (NOISE_DBFS / 20)
    return g711.decode_ulaw(g711.encode_ulaw(pcm(mixed)))


def pcm(samples: np.ndarray) -> bytes:
    return np.clip(np.round(samples), -32768, 32767).astype("<i2").tobytes()


def frames(audio: bytes) -> list[bytes]:
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]


def level_db(audio: bytes | np.ndarray) -> float:
    samples = np.frombuffer(audio, dtype="<i2") if isinstance(audio, bytes) else audio
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-9))
