"""Word error rate and decode time of the recognizer alone; voice detector cost per frame.

`python -m benchmarks.recognizer_wer [--data ../shared/data] [--limit N]`

Sentences spoken by flite (word error rate), also through the two bands that a line may have;
where the recordings are at hand: those with a text in `prompts/` (word error rate), the slot
phrases found in `orders/`, forced choice among ten words in `digits/`.  Audio goes through mu-law
first, that of a wide line through G.722.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import re
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks._g722 import through_g722
from benchmarks.response import SENTENCES as QUESTIONS
from gateway.audio.converter import convert_once
from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.audio.wav import read_wav
from gateway.providers.kit.speech import speech
from gateway.providers.tts import flite
from gateway.providers.vad.silero import SileroModel, SpeechProbability
from gateway.recognizer.moonshine import Decoding, MoonshineModel, model_folder

SENTENCES = (
    "What are your opening hours on Saturday?",
    "I would like to leave a message for the manager.",
    "Could you transfer me to the sales department please?",
    "I want to order two large coffees and one tea.",
    "No, make that three coffees instead.",
    "My name is Peter and I am calling about my order.",
    "Can you tell me when the office is open tomorrow?",
    "I need to talk to a real person.",
    "Yes please, that would be great.",
    "Thank you very much for your help, goodbye.",
    "I would like a cappuccino with skim milk and no sugar.",
    "Please tell her that I will be late for the meeting.",
    "Is there a parking place near your building?",
    "I would like to cancel my reservation for tonight.",
    "How much does the small one cost?",
    "Could you repeat that a little more slowly?",
    "We are a group of six people and need a quiet table.",
    "Do you accept credit cards or only cash?",
)
SNR_DB = (None, 15)
"""Of the sound that both bands are made of; None = no noise."""
VOICES = ("rms", "awb", "slt", "kal16")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FOREIGN_LOG_PROB = -0.6
"""English speech is decoded at about -0.1; a set far below this is not what its text says."""


def words(text: str) -> list[str]:
    """Lower-case words without punctuation, for comparison."""
    return re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("-", " ")).split()


def word_errors(reference: list[str], heard: list[str]) -> int:
    """Substitutions, deletions and insertions (Levenshtein over words)."""
    row = list(range(len(heard) + 1))
    for at, word in enumerate(reference, 1):
        previous, row[0] = row[0], at
        for place, other in enumerate(heard, 1):
            change = previous + (word != other)
            previous, row[place] = row[place], min(change, row[place] + 1, row[place - 1] + 1)
    return row[-1]


class Bench:
    """The model and what it took: (seconds of audio, milliseconds of decoding)."""

    def __init__(self, data: Path, limit: int | None) -> None:
        self.data = data
        self.rows: list[dict[str, str]] = []
        if (data / "index.csv").is_file():
            with (data / "index.csv").open(newline="") as index:
                self.rows = list(csv.DictReader(index))
        self.limit = limit
        self.model = MoonshineModel(model_folder())
        self.model.decode(bytes(32000))
        self.times: list[tuple[float, float]] = []

    def kind(self, name: str) -> list[dict[str, str]]:
        """Rows of one kind."""
        return [row for row in self.rows if row["kind"] == name][: self.limit]

    def decode(self, row: dict[str, str], choices: tuple[str, ...] = ()) -> Decoding:
        """Decode one recording as a telephone line would deliver it."""
        return self.decode_pcm(read_wav(self.data / row["file"])[0], choices)

    def decode_pcm(self, pcm: bytes, choices: tuple[str, ...] = ()) -> Decoding:
        """Decode mono s16le at 8000 Hz, by way of mu-law."""
        line = decode_ulaw(encode_ulaw(pcm))
        started = time.perf_counter()
        decoding = self.model.decode(line, choices)
        self.times.append((len(line) / 16000, (time.perf_counter() - started) * 1000))
        assert decoding is not None
        return decoding


async def speak(text: str, voice: str, audio_format: AudioFormat = NARROWBAND) -> bytes:
    """Render one sentence."""
    settings = flite.Settings.model_validate({"voice": voice})
    engine = flite.create(settings)
    try:
        return b"".join([part.pcm async for part in speech(engine, text, audio_format)])
    finally:
        await engine.close()


def spoken(bench: Bench) -> None:
    if hint := flite.probe():
        print(f"spoken sentences: skipped: {hint}")
        return
    for voice in VOICES:
        errors = total = 0
        for text in SENTENCES:
            decoding = bench.decode_pcm(asyncio.run(speak(text, voice)))
            errors += word_errors(words(text), words(decoding.text))
            total += len(words(text))
        print(f"spoken sentences, flite {voice}: WER {errors / total:.1%} of {total} words")


def bands(bench: Bench) -> None:
    """Decode the same sound as a telephone line and as a wide line would deliver it."""
    if flite.probe():
        return
    for snr_db in SNR_DB:
        total, errors = 0, {"8 kHz, mu-law": 0, "16 kHz, G.722": 0}
        for voice in VOICES:
            before, of_voice = dict(errors), 0
            for number, text in enumerate(SENTENCES + QUESTIONS):
                sound = asyncio.run(speak(text, voice, WIDEBAND))
                if snr_db is not None:
                    sound = with_noise(sound, snr_db, seed=number)
                narrow = decode_ulaw(encode_ulaw(convert_once(sound, WIDEBAND, NARROWBAND)))
                heard = (
                    bench.model.decode(narrow),
                    bench.model.decode(through_g722(sound), rate_hz=WIDEBAND.sample_rate_hz),
                )
                for line, decoding in zip(errors, heard, strict=True):
                    assert decoding is not None
                    errors[line] += word_errors(words(text), words(decoding.text))
                of_voice += len(words(text))
            total += of_voice
            _print_bands(
                f"flite {voice}", snr_db, of_voice, {k: errors[k] - before[k] for k in errors}
            )
        _print_bands("all voices", snr_db, total, errors)


def _print_bands(name: str, snr_db: int | None, total: int, errors: dict[str, int]) -> None:
    rates = ", ".join(f"{line} {wrong / total:.1%}" for line, wrong in errors.items())
    noise = "clean" if snr_db is None else f"{snr_db} dB"
    print(f"bands, {noise}, {name}: WER {rates} of {total} words")


def with_noise(sound: bytes, snr_db: float, seed: int) -> bytes:
    """Add noise of a room to mono s16le: as much power in each octave as in the next."""
    samples = np.frombuffer(sound, "<i2").astype(np.float64)
    power = np.mean(samples[np.abs(samples) > np.abs(samples).max() / 30] ** 2)
    white = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(samples)))
    pink = np.fft.irfft(white / np.sqrt(np.maximum(np.arange(len(white)), 1)), len(samples))
    pink *= np.sqrt(power / np.mean(pink**2) / 10 ** (snr_db / 10))
    return bytes(np.clip(np.rint(samples + pink), -32768, 32767).astype("<i2"))


def prompts(bench: Bench) -> None:
    errors = total = 0
    log_probs = []
    for row in bench.kind("prompts"):
        reference = words(row["text"])
        if not reference:
            continue
        decoding = bench.decode(row)
        errors += word_errors(reference, words(decoding.text))
        total += len(reference)
        log_probs.append(decoding.log_prob or 0.0)
    if not total:
        print("prompts: none with a text")
        return
    median = statistics.median(log_probs)
    print(f"prompts: WER {errors / total:.1%} of {total} words, log-prob median {median:.2f}")
    if median < FOREIGN_LOG_PROB:
        print("  NOT A RECOGNIZER FIGURE: the recordings are not English speech of these texts")


def orders(bench: Bench) -> None:
    found = total = 0
    for row in bench.kind("orders"):
        heard = " ".join(words(bench.decode(row).text))
        slots = [" ".join(words(value)) for value in json.loads(row["note"]).values()]
        found += sum(slot in heard for slot in slots)
        total += len(slots)
    print(f"orders: {found} of {total} slot phrases found ({found / max(total, 1):.1%})")


def digits(bench: Bench) -> None:
    rows = bench.kind("digits")
    picked = [(row["text"], bench.decode(row, DIGITS).choice) for row in rows]
    right = sum(text == choice for text, choice in picked)
    unsure = sum(choice is None for _, choice in picked)
    wrong = len(rows) - right - unsure
    print(f"digits: forced choice of ten: {right} right, {unsure} unsure, {wrong} wrong")


def decode_times(bench: Bench) -> None:
    print("decode ms by length of audio: p50 / p95 (count)")
    for low, high in ((0, 1), (1, 2), (2, 3), (3, 5), (5, 8), (8, 12), (12, 60)):
        taken = sorted(ms for seconds, ms in bench.times if low <= seconds < high)
        if taken:
            p95 = taken[min(len(taken) - 1, int(len(taken) * 0.95))]
            print(
                f"  {low:2}-{high:<2} s: {taken[len(taken) // 2]:4.0f} / {p95:4.0f} ({len(taken)})"
            )


def voice_detector(bench: Bench) -> None:
    pcm = b"".join(read_wav(bench.data / row["file"])[0] for row in bench.kind("orders")[:20])
    judge = SpeechProbability(SileroModel())
    frames = [pcm[at : at + 320] for at in range(0, len(pcm) - 320, 320)]
    started = time.perf_counter()
    for frame in frames:
        judge.push(frame)
    each_us = (time.perf_counter() - started) / len(frames) * 1e6
    print(f"voice detector: {each_us:.0f} us per 20 ms frame ({len(frames)} frames)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=None, help="recordings per kind")
    options = parser.parse_args()
    bench = Bench(options.data, options.limit)
    spoken(bench)
    bands(bench)
    if bench.rows:
        for part in (prompts, orders, digits, voice_detector):
            part(bench)
    else:
        print(f"recordings: skipped: no index.csv in {options.data} (see --data)")
    decode_times(bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
