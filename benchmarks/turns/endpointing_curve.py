"""Response gap against false starts, offline: the gateway's own turn-taking over recordings.

`python -m benchmarks.turns.endpointing_curve [--data ../shared/data] [--set key=value ...]`

Each recording is one caller turn: mu-law, silero, the turn taker and moonshine as in a call, but on
audio time, with a modelled recognition delay.  The gap is what a caller would measure: from the
last audible caller sample to the decision, plus what a ready answer takes to the wire.  A false
start is a turn that ended before the caller's last audible sample.  Transcripts are kept in a
cache, so that only new moments are decoded.
"""

from __future__ import annotations

import functools
import pickle
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audio.format import LINE
from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.audio.level import audible_span
from gateway.config.models import TurnConfig
from gateway.conversation.wire import THRESHOLD
from gateway.providers.stt.moonshine import looks_phantom
from gateway.providers.vad.silero import SileroModel, SpeechProbability
from gateway.recognizer.moonshine import MoonshineModel, model_folder
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
from gateway.turn.vad import Chunk

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
    first_audible: int
    last_audible: int


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


def prepare(name: str, pcm: bytes, model: SileroModel) -> Recording:
    """Put a recording (mono s16le, 8000 Hz) through mu-law and the voice detector."""
    rate = LINE.sample_rate_hz
    pcm = decode_ulaw(
        encode_ulaw(bytes(2 * int(LEAD_S * rate)) + pcm + bytes(2 * int(TAIL_S * rate)))
    )
    size = LINE.frame_bytes
    frames = [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]
    detector = SpeechProbability(model)
    chunks = [detector.push(frame) for frame in frames]
    spans = []
    for number, frame in enumerate(frames):
        span = audible_span(frame, THRESHOLD, 4, LINE.sample_rate_hz * 5 // 1000)
        if span:
            start = number * LINE.frame_samples
            spans.append((start + span[0], start + span[1]))
    first, last = (spans[0][0], spans[-1][1]) if spans else (0, 0)
    return Recording(name, frames, chunks, first, last)


class Decoder:
    """Moonshine with a memory on disk."""

    def __init__(self, cache: Path | None) -> None:
        self._cache = cache
        self._known: dict[tuple[str, int, int], str] = {}
        self._is_new = False
        if cache is not None and cache.is_file():
            self._known = pickle.loads(cache.read_bytes())  # noqa: S301 - written by us

    @functools.cached_property
    def _model(self) -> MoonshineModel:
        return MoonshineModel(model_folder(), 1)

    def text(self, recording: Recording, begins: int, ends: int) -> str:
        """What is understood of the samples from `begins` to `ends`."""
        key = (recording.name, begins, ends)
        if key not in self._known:
            frame = LINE.frame_samples
            pcm = b"".join(recording.frames[begins // frame : ends // frame])
            decoding = self._model.decode(pcm)
            assert decoding is not None
            is_phantom = looks_phantom(decoding.text, decoding.log_prob, pcm)
            self._known[key] = "" if is_phantom else decoding.text
            self._is_new = True
        return self._known[key]

    def save(self) -> None:
        """Keep what was decoded."""
        if self._cache is not None and self._is_new:
            self._cache.write_bytes(pickle.dumps(self._known))


Opinion = Callable[[Recording, int, int], float | None]
"""Of a model on the audio: probability that the turn is over."""


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
        now += LINE.frame_samples
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
                    begins = max(0, now - -(-back // LINE.frame_samples) * LINE.frame_samples)
                    due.clear()
                case TranscriptWanted():
                    out.requests += 1
                    seconds = (now - begins) / LINE.sample_rate_hz
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
