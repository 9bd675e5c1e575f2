"""Word error rate through the whole path, beside that of the recognizer alone on the same audio.

The path: caller's audio -> PCMU over RTP -> jitter buffer -> voice detection -> recognition ->
`caller_text` in `call.json`.  The agent only listens, so that nobody talks over anybody.
"""

from __future__ import annotations

import csv
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import _listening
from benchmarks._calls import conversation, make_calls, pair_turns
from benchmarks._gateway import Gateway, running_gateway
from benchmarks._report import Row, progress, publish
from benchmarks.recognizer_wer import SENTENCES as SPOKEN
from benchmarks.recognizer_wer import word_errors, words
from benchmarks.response import SENTENCES as QUESTIONS
from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.probe import scenario, voices
from gateway.probe.g711 import Samples
from gateway.recognizer.moonshine import MoonshineModel, model_folder

DATA = Path(__file__).parents[2] / "shared" / "data"
_VOICES: tuple[voices.Voice, ...] = ("awb", "kal16")
_PER_CALL = 12
_AT_ONCE = 4
_FOREIGN_PERCENT = 60.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something with a known text that a caller plays as one turn."""

    group: str
    text: str
    file: Path


@dataclass(slots=True)
class Errors:
    """Wrong words of one group."""

    words: int = 0
    alone: int = 0
    path: int = 0

    def rates(self) -> dict[str, float]:
        """Percent of all words, and the difference in points."""
        alone, path = (100 * wrong / self.words for wrong in (self.alone, self.path))
        return {
            "words": self.words,
            "alone_percent": round(alone, 2),
            "path_percent": round(path, 2),
            "difference_points": round(path - alone, 2),
        }


async def run(*, quick: bool) -> None:
    with TemporaryDirectory(prefix="gateway-bench-") as folder:
        utterances = await _utterances(Path(folder), quick=quick)
        progress(f"{len(utterances)} utterances by the recognizer alone")
        alone = _alone(utterances)
        heard: list[str] = []
        batch = _PER_CALL * _AT_ONCE
        async with running_gateway(_listening.AGENT, _listening.FILES) as gateway:
            for start in range(0, len(utterances), batch):
                heard += await _through_path(gateway, utterances[start : start + batch])
                progress(f"{len(heard)} of {len(utterances)} through the path")
    rows, figures = _compare(utterances, alone, heard)
    publish("path_wer", "Word error rate, whole path beside recognizer alone", rows, figures)


async def _utterances(folder: Path, *, quick: bool) -> list[Utterance]:
    texts = (SPOKEN[:3] + QUESTIONS[:3]) if quick else SPOKEN + QUESTIONS
    found = []
    for voice in _VOICES:
        for number, text in enumerate(texts):
            file = folder / f"{voice}-{number}.wav"
            _write(file, await voices.render(text, voice))
            found.append(Utterance(f"flite {voice}", text, file))
    return found + _prompts(4 if quick else None)


def _prompts(limit: int | None) -> list[Utterance]:
    """Recorded prompts with their text, where the recordings are at hand."""
    if not (DATA / "index.csv").is_file():
        return []
    with (DATA / "index.csv").open(newline="", encoding="utf-8") as index:
        rows = [row for row in csv.DictReader(index) if row["kind"] == "prompts" and row["text"]]
    return [Utterance("prompts", row["text"], DATA / row["file"]) for row in rows[:limit]]


async def _through_path(gateway: Gateway, utterances: Sequence[Utterance]) -> list[str]:
    """What `call.json` says that each was, by several calls at once; empty = it made no turn."""
    shares = [utterances[at : at + _PER_CALL] for at in range(0, len(utterances), _PER_CALL)]
    scripts = [conversation([scenario.Play(file=one.file) for one in share]) for share in shares]
    texts: list[str] = []
    for outcome in await make_calls(gateway.uri, scripts):
        record = await gateway.record(outcome.caller)
        texts += [
            " ".join(turn.caller_text or "" for turn in turns)
            for _, turns in pair_turns(outcome.turns, record.turns)
        ]
    return texts


def _alone(utterances: Sequence[Utterance]) -> list[str]:
    """Decode the same audio, through mu-law, in one piece."""
    model = MoonshineModel(model_folder())
    texts = []
    for utterance in utterances:
        pcm = voices.read_wav(utterance.file).astype("<i2").tobytes()
        decoding = model.decode(decode_ulaw(encode_ulaw(pcm)))
        texts.append(decoding.text if decoding else "")
    return texts


def _compare(
    utterances: Sequence[Utterance], alone: Sequence[str], heard: Sequence[str]
) -> tuple[list[Row], dict[str, object]]:
    groups: dict[str, Errors] = {}
    different = []
    for utterance, by_itself, by_path in zip(utterances, alone, heard, strict=True):
        reference = words(utterance.text)
        wrong_alone = word_errors(reference, words(by_itself))
        wrong_path = word_errors(reference, words(by_path))
        for name in [utterance.group] + ["all flite"] * utterance.group.startswith("flite"):
            errors = groups.setdefault(name, Errors())
            errors.words += len(reference)
            errors.alone += wrong_alone
            errors.path += wrong_path
        if wrong_alone != wrong_path:
            different.append([utterance.group, utterance.text, by_itself, by_path])
    rates = {name: errors.rates() for name, errors in groups.items()}
    rows = [
        (
            name,
            f"alone {rate['alone_percent']:.1f} %  path {rate['path_percent']:.1f} %  "
            f"difference {rate['difference_points']:+.1f} points  ({rate['words']:.0f} words)",
        )
        for name, rate in rates.items()
    ]
    rows += [
        (name, "NOT A RECOGNIZER FIGURE: these recordings do not say their text in English")
        for name, rate in rates.items()
        if rate["alone_percent"] > _FOREIGN_PERCENT
    ]
    rows += [(group, f"{text!r}: {a!r} -> {b!r}") for group, text, a, b in different]
    return rows, {"groups": rates, "different": different}


def _write(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
