"""Response gap against false starts, offline: the gateway's own turn-taking over recordings.

`python -m benchmarks.turns.endpointing_curve [--data ../shared/data] [--set key=value ...]`

Each recording is one caller turn: mu-law, silero, the turn taker and moonshine as in a call, but on
audio time, with a modelled recognition delay.  The gap is what a caller would measure: from the
last audible caller sample to the decision, plus what a ready answer takes to the wire.  A false
start is a turn that ended before the caller's last audible sample.  Transcripts are kept in a
cache, so that only new moments are decoded.
"""

from __future__ import annotations

import argparse
import functools
import json
import pickle
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from gateway.audio.audible import audible_samples
from gateway.audio.format import ANALYSIS
from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.audio.voice_chunk import Chunk
from gateway.audio.wav import read_wav
from gateway.config.models import TurnConfig
from gateway.errors import ProviderUnavailable
from gateway.providers import registry
from gateway.providers.contracts import VoiceDetection
from gateway.providers.stt.moonshine import looks_phantom
from gateway.recognizer.grammar import GrammarName
from gateway.recognizer.moonshine import MoonshineModel, model_folder
from gateway.recognizer.smart_turn import SmartTurnModel, model_file
from gateway.turn.completeness import Wanted
from gateway.turn.events import (
    EagerEnd,
    TranscriptWanted,
    TurnEnded,
    TurnStarted,
    milliseconds,
    samples,
)
from gateway.turn.taker import TurnTaker

T = TypeVar("T")
LEAD_S, TAIL_S = 0.5, 2.5
TO_WIRE_MS = 60
"""From the decision to the first sample of an answer that is ready."""
DECODE_MS = (30.0, 20.0)
"""Recognition takes so much, plus so much per second of audio."""


@dataclass
class Recording:
    """One caller turn, ready to be heard."""

    name: str
    frames: list[bytes]
    chunks: list[list[Chunk]]
    """Per frame, those that it completed."""
    last_audible: int

    def pcm(self, begins: int, ends: int) -> bytes:
        """Audio between two frame borders, in samples."""
        return b"".join(
            self.frames[begins // ANALYSIS.frame_samples : ends // ANALYSIS.frame_samples]
        )


@dataclass
class Outcome:
    """What turn-taking made of one recording."""

    name: str
    gap_ms: float | None
    """None: never answered."""
    false_starts: int
    requests: int
    eager_ends: int
    evidence: str
    ends: list[TurnEnded] = field(default_factory=list)


def prepare(name: str, pcm: bytes, detection: VoiceDetection) -> Recording:
    """Put a recording (mono s16le, 8000 Hz) through mu-law and the voice detector."""
    rate = ANALYSIS.sample_rate_hz
    pcm = decode_ulaw(
        encode_ulaw(bytes(2 * int(LEAD_S * rate)) + pcm + bytes(2 * int(TAIL_S * rate)))
    )
    size = ANALYSIS.frame_bytes
    frames = [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]
    detector = detection.open()
    chunks = [detector.push(frame) for frame in frames]
    audible = audible_samples(np.frombuffer(pcm, "<i2"))
    last_audible = int(audible[-1]) if len(audible) else 0
    return Recording(name, frames, chunks, last_audible)


Opinion = Callable[[Recording, int, int], float | None]
"""Of a model on the audio: probability that the turn is over."""


class Memory(dict[tuple[str, int, int], T]):
    """What was worked out for (recording, from sample, to sample), kept in a file."""

    def __init__(self, path: Path | None) -> None:
        known = path is not None and path.is_file()
        super().__init__(pickle.loads(path.read_bytes()) if known and path else {})  # noqa: S301
        self._path = path

    def save(self) -> None:
        """Write the file, if there is to be one."""
        if self._path is not None:
            self._path.write_bytes(pickle.dumps(dict(self)))


class Sound:
    """smart-turn with a memory."""

    def __init__(self, cache: Path | None) -> None:
        self.memory: Memory[float] = Memory(cache)

    @functools.cached_property
    def _model(self) -> SmartTurnModel:
        return SmartTurnModel(model_file())

    def __call__(self, recording: Recording, begins: int, ends: int) -> float:
        """Judge the samples from `begins` to `ends`."""
        key = (recording.name, begins, ends)
        if key not in self.memory:
            self.memory[key] = self._model.probability(recording.pcm(begins, ends))
        return self.memory[key]


class Decoder:
    """Moonshine with a memory."""

    def __init__(self, cache: Path | None, grammar: GrammarName | None = None) -> None:
        self.memory: Memory[str] = Memory(cache)
        self._grammar = grammar

    @functools.cached_property
    def _model(self) -> MoonshineModel:
        return MoonshineModel(model_folder(), 1)

    def text(self, recording: Recording, begins: int, ends: int) -> str:
        """What is understood of the samples from `begins` to `ends`."""
        key = (recording.name, begins, ends)
        if key not in self.memory:
            pcm = recording.pcm(begins, ends)
            decoding = self._model.decode(pcm, grammar=self._grammar)
            assert decoding is not None
            is_phantom = looks_phantom(decoding.text, decoding.log_prob, pcm)
            self.memory[key] = "" if is_phantom else decoding.text
        return self.memory[key]


def run(
    recording: Recording,
    config: TurnConfig,
    decoder: Decoder,
    wanted: Wanted | None = None,
    opinion: Opinion = lambda *_: None,
    choose: Callable[[str], str | None] = lambda _: None,
) -> Outcome:
    """Let one recording pass through turn-taking."""
    taker = TurnTaker(config, 1000.0)
    taker.expect(wanted or Wanted())
    begins = 0
    due: list[tuple[int, int]] = []
    out = Outcome(recording.name, None, 0, 0, 0, "")
    now = 0
    for chunks in recording.chunks:
        now += ANALYSIS.frame_samples
        for item in [d for d in due if d[0] <= now]:
            due.remove(item)
            covers = item[1]
            text = decoder.text(recording, begins, covers)
            sound = opinion(recording, begins, covers)
            taker.transcript(text, choose(text), covers, now, sound)
        for event in taker.hear(chunks, now):
            match event:
                case TurnStarted(onset=onset):
                    back = samples(config.preroll_ms) + now - onset
                    begins = max(
                        0, now - -(-back // ANALYSIS.frame_samples) * ANALYSIS.frame_samples
                    )
                    due.clear()
                case TranscriptWanted():
                    out.requests += 1
                    seconds = (now - begins) / ANALYSIS.sample_rate_hz
                    due.append((now + samples(DECODE_MS[0] + DECODE_MS[1] * seconds), now))
                case EagerEnd():
                    out.eager_ends += 1
                case TurnEnded():
                    out.ends.append(event)
                case _:
                    pass
    out.false_starts = sum(e.now < recording.last_audible for e in out.ends)
    last = [e for e in out.ends if e.now >= recording.last_audible]
    if last:
        out.gap_ms = milliseconds(last[0].now - recording.last_audible) + TO_WIRE_MS
        out.evidence = last[0].evidence
    return out


@dataclass(frozen=True)
class Figures:
    """A point of the curve."""

    turns: int
    gap_p50_ms: float
    gap_p90_ms: float
    false_per_100: float
    unanswered: int
    requests: float
    eager_ends: float


def summarize(outcomes: Sequence[Outcome]) -> Figures:
    """Gaps and false starts over all turns."""
    gaps = sorted(o.gap_ms for o in outcomes if o.gap_ms is not None)
    count = len(outcomes)
    return Figures(
        count,
        statistics.median(gaps),
        gaps[min(len(gaps) - 1, int(0.9 * len(gaps)))],
        100 * sum(o.false_starts > 0 for o in outcomes) / count,
        count - len(gaps),
        sum(o.requests for o in outcomes) / count,
        sum(o.eager_ends for o in outcomes) / count,
    )


FIXED_MS = (160, 224, 288, 320, 400, 500, 700, 1000)


def fixed(silence_ms: int) -> TurnConfig:
    """Settings that wait equally long for everybody."""
    steps = ("sure_end_ms", "whole_ms", "doubtful_ms", "unfinished_ms")
    return TurnConfig.model_validate(dict.fromkeys(steps, silence_ms))


def policies(settings: dict[str, object], sound: Opinion | None) -> list[Policy]:
    """What is compared: (name, settings, opinion)."""
    deaf: Opinion = lambda *_: None  # noqa: E731
    found = [(f"fixed {silence_ms} ms", fixed(silence_ms), deaf) for silence_ms in FIXED_MS]
    for name, opinion in (("text", deaf), ("text and sound", sound)):
        for eagerness in ("low", "medium", "high"):
            if opinion is not None:
                config = TurnConfig.model_validate({"eagerness": eagerness} | settings)
                found.append((f"{name}, {eagerness}", config, opinion))
    return found


Policy = tuple[str, TurnConfig, Opinion]


def row(name: str, outcomes: Sequence[Outcome]) -> str:
    """One line of the table: all turns, then each half of the corpus alone."""
    cells = []
    for part in (outcomes, outcomes[::2], outcomes[1::2]):
        f = summarize(part)
        cells.append(f"{f.gap_p50_ms:.0f} / {f.gap_p90_ms:.0f} / {f.false_per_100:.1f}")
    whole = summarize(outcomes)
    cost = f"{whole.requests:.1f} / {whole.eager_ends:.1f} / {whole.unanswered}"
    return f"| {name} | {' | '.join(cells)} | {cost} |"


def main() -> int:
    """Print the curve as a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=None, help="only so many recordings")
    parser.add_argument("--vad", default="silero", help="voice detector")
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps transcripts")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    files = sorted((options.data / "orders").glob("*.wav"))[: options.limit]
    if not files:
        print(f"no recordings in {options.data / 'orders'}", file=sys.stderr)
        return 1
    if options.cache is not None:
        options.cache.mkdir(parents=True, exist_ok=True)
    detection = registry.create("vad", {"provider": options.vad})
    recordings = [prepare(file.name, read_wav(file)[0], detection) for file in files]
    decoder = Decoder(options.cache and options.cache / "texts.pickle")
    sound = _sound(options.cache and options.cache / "sounds.pickle")
    settings = {key: json.loads(value) for key, value in (s.split("=", 1) for s in options.set)}
    print("| policy | all: p50 / p90 ms / false % | first half | second half |", end="")
    print(" requests / eager ends / unanswered |")
    print("|---|---|---|---|---|")
    for name, config, opinion in policies(settings, sound):
        outcomes = [run(r, config, decoder, opinion=opinion) for r in recordings]
        print(row(name, outcomes), flush=True)
    decoder.memory.save()
    if sound is not None:
        sound.memory.save()
    return 0


def _sound(cache: Path | None) -> Sound | None:
    try:
        model_file()
    except ProviderUnavailable as error:
        print(f"without sound: {error.problem}", file=sys.stderr)
        return None
    return Sound(cache)


if __name__ == "__main__":
    sys.exit(main())
