"""What the callers say and what is heard behind them: recordings, numbers, spelled names, noise."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.audio import audible
from gateway.probe import voices
from gateway.probe.g711 import Samples
from gateway.probe.timeline import Audio, loud_instants

DATA = Path(os.environ.get("BENCH_DATA", "../shared/data"))
LETTER_VOICES: tuple[voices.Voice, ...] = ("awb", "kal16", "slt")
NAMES = ("Smith", "Walker", "Nguyen", "Garcia", "Miller", "Schulz", "Fisher", "Novak", "Turner",
         "Bishop", "Keller", "Murphy")  # fmt: skip
ANSWERS = {
    "yes_no": ("Yes.", "No.", "Yes please.", "No thank you.", "Yeah.", "Yes, that's right."),
    "menu": ("Small.", "A large one please.", "Medium.", "The large one.", "Small please."),
}
FIRST_WORDS = ("Stop.", "Wait.", "No.", "Excuse me.", "Hold on.", "Sorry.", "Actually.", "Listen.")
"""What people break in with; half of it begins softly."""
COMMANDS = ("Wait.", "Stop.", "No, listen.", "Hold on.")
BACKCHANNELS = ("Uh-huh.", "Mm-hmm.", "Okay.", "Right.", "Yeah.")
_RATE = 8000
_MARGIN = 1600  # 200 ms of the recording's own silence stay at both ends
_DIGIT_MARGIN = 480
"""The recordings' own silence would make the pauses longer than they are said to be."""
_FRAME = 160
_LEVEL_DBFS = -20.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """One turn of a caller."""

    name: str
    clean: Samples
    """What is said: int16[n], 8 kHz; it tells when the caller speaks."""
    sent: Samples
    """The same with what is heard behind it."""
    text: str = ""
    """What is said, where known."""


class NoRecordings(Exception):  # noqa: N818 - reported, not a fault
    """The recordings are not at hand."""


def orders(count: int, seed: int = 1) -> list[Utterance]:
    """So many people ordering coffee, in an order that the seed decides."""
    chosen = _shuffled([row["file"] for row in _rows("orders")], seed)
    found = []
    for number in range(count):
        file = chosen[number % len(chosen)]
        samples = trimmed(voices.read_wav(DATA / file))
        found.append(Utterance(Path(file).stem, samples, samples))
    return found


def noises() -> list[tuple[str, Samples]]:
    """All recorded noises that can be heard at all, the kinds taking turns."""
    kinds: dict[str, list[tuple[str, Samples]]] = {}
    for row in _rows("noise"):
        samples = voices.read_wav(DATA / row["file"])
        if np.abs(samples.astype(np.int32)).max(initial=0) > 100:
            name = f"{Path(row['file']).parent.name}/{Path(row['file']).stem[:24]}"
            kinds.setdefault(row["kind"], []).append((name, samples))
    longest = max(len(kind) for kind in kinds.values())
    return [kind[at] for at in range(longest) for kind in kinds.values() if at < len(kind)]


def phone_numbers(count: int, seed: int = 1) -> list[Utterance]:
    """Ten digits by one speaker each, in groups of 3, 3 and 4 with pauses up to 1.2 s."""
    speakers: dict[str, dict[str, list[str]]] = {}
    for row in _rows("digits"):
        digit, speaker, _ = Path(row["file"]).stem.split("_")
        speakers.setdefault(speaker, {}).setdefault(digit, []).append(row["file"])
    whole = sorted(name for name, digits in speakers.items() if len(digits) == 10)
    chance = random.Random(seed)
    return [_number(speakers[whole[n % len(whole)]], chance) for n in range(count)]


async def spelled_names(count: int, seed: int = 1) -> list[Utterance]:
    """Names spelled by a synthetic voice, letters 0.2-0.5 s apart, some pauses up to 1.2 s."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        name = NAMES[number % len(NAMES)]
        voice = LETTER_VOICES[number % len(LETTER_VOICES)]
        parts: list[Samples] = []
        for place, letter in enumerate(name.upper()):
            long = place and chance.random() < 0.3
            pause = chance.uniform(0.6, 1.2) if long else chance.uniform(0.2, 0.5)
            parts += [_silence(pause if place else 0.1), await voices.render(f"{letter}.", voice)]
        samples = np.concatenate(parts)
        spelled = " ".join(name.upper())
        found.append(Utterance(f"{voice}: {spelled}", samples, samples, spelled))
    return found


async def spoken(texts: Sequence[str], count: int) -> list[Utterance]:
    """So many short sentences, the voices taking turns."""
    found = []
    for number in range(count):
        text = texts[number % len(texts)]
        voice = LETTER_VOICES[(number // len(texts) + number) % len(LETTER_VOICES)]
        samples = at_level(await voices.render(text, voice), _LEVEL_DBFS)
        found.append(Utterance(f"{voice}: {text}", samples, samples, text))
    return found


def over_noise(utterance: Utterance, noise: Samples, snr_db: float, lead_s: float) -> Utterance:
    """Mix noise behind an utterance; it begins `lead_s` before and lasts as long.

    The ratio is that of the speech (frames within 25 dB of its loudest) to all of the noise used.
    """
    lead = _silence(lead_s)
    clean = np.concatenate([lead, utterance.clean])
    behind = np.resize(noise, len(clean)).astype(np.float64)
    wanted = speech_rms(utterance.clean) / 10 ** (snr_db / 20)
    behind *= wanted / max(_rms(behind), 1.0)
    mixed = np.clip(clean + behind, -32768, 32767).astype(np.int16)
    return Utterance(f"{utterance.name} {snr_db:g} dB", clean, mixed, utterance.text)


def heard_from(clean: Samples, noise: Samples) -> float:
    """Power from which a voice is heard over the noise of the two seconds before it."""
    loud = audible.audible_samples(clean)
    begins = int(loud[0]) if len(loud) else len(clean)
    return audible.over_noise(audible.block_powers(noise[max(0, begins - 2 * _RATE) : begins]))


def at_level(samples: Samples, dbfs: float, *, speech: bool = True) -> Samples:
    """Scale to so much RMS (dB below full scale): of the speech in it, or of all of it."""
    now = speech_rms(samples) if speech else _rms(samples.astype(np.float64))
    gain = 32768 * 10 ** (dbfs / 20) / max(now, 1.0)
    return np.clip(samples * gain, -32768, 32767).astype(np.int16)


def trimmed(samples: Samples, margin: int = _MARGIN) -> Samples:
    """Cut the silence around the speech; so many samples of it stay."""
    loud = loud_instants([Audio(0, samples)]) // 125_000
    if not len(loud):
        return samples
    return samples[max(int(loud[0]) - margin, 0) : int(loud[-1]) + margin]


def speech_rms(samples: Samples) -> float:
    """RMS of the frames (20 ms) within 25 dB of the loudest."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float64)
    levels = np.sqrt((frames**2).mean(axis=1))
    return float(np.sqrt((levels[levels > levels.max(initial=0.0) * 10**-1.25] ** 2).mean()))


def _number(digits: dict[str, list[str]], chance: random.Random) -> Utterance:
    number = "".join(str(chance.randrange(10)) for _ in range(10))
    parts: list[Samples] = [_silence(0.1)]
    for place, digit in enumerate(number):
        if place:
            group = place in {3, 6}
            parts.append(
                _silence(chance.uniform(0.3, 1.2) if group else chance.uniform(0.05, 0.25))
            )
        recording = chance.choice(digits[digit])
        samples = at_level(voices.read_wav(DATA / recording), _LEVEL_DBFS)
        parts.append(trimmed(samples, _DIGIT_MARGIN))
    samples = np.concatenate(parts)
    speaker = Path(recording).stem.split("_")[1]
    return Utterance(f"{speaker}: {number}", samples, samples, number)


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * _RATE), np.int16)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt((samples**2).mean()))


def _shuffled(files: list[str], seed: int) -> list[str]:
    files = sorted(files)
    random.Random(seed).shuffle(files)
    return files


def _rows(kind: str) -> list[dict[str, str]]:
    index = DATA / "index.csv"
    if not index.is_file():
        raise NoRecordings(f"no recordings in {index.parent}")
    with index.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["kind"].split("/")[0] == kind]
