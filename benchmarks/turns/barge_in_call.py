"""A call without SIP on audio time: the bot tells a story, somebody may break in."""

from __future__ import annotations

import functools
import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.audio.echo_control import Dry
from gateway.audio.format import ANALYSIS
from gateway.audio.voice_chunk import VoiceDetector
from gateway.call.audibility import AudibilityMeter
from gateway.call.call_audio import BotSound, judged
from gateway.call.media import FrameOutlet, Lane
from gateway.config.models import TurnConfig
from gateway.conversation.false_interruption import MAY_GO_ON
from gateway.probe.g711 import Samples
from gateway.providers.kit.speech import speech
from gateway.providers.stt.moonshine import looks_phantom
from gateway.providers.tts import flite
from gateway.recognizer.moonshine import Decoding, MoonshineModel, model_folder
from gateway.turn.barge_in import LASTS
from gateway.turn.barge_in_words import ASIDES
from gateway.turn.events import (
    BargeInConfirmed,
    BargeInRejected,
    BargeInSuspected,
    TranscriptWanted,
    TurnDiscarded,
    TurnEvent,
    TurnStarted,
    samples,
)
from gateway.turn.taker import TurnTaker

STORY = (
    "There was once a baker who lived beside the river, and every morning she rose before the sun.",
    "She mixed the flour and the water, and shaped the loaves while the village was still asleep.",
    "One day a stranger came to her door and asked her for the oldest bread that she could sell.",
    "She laughed, and gave him a basket full of crusts, and he left a silver coin on the table.",
)
_DECODE_MS = (50.0, 20.0)
"""Recognition takes so much, plus so much per second of audio."""
_PARTIAL = samples(500)


@dataclass(frozen=True)
class Story:
    """What the bot says, in frames."""

    frames: list[bytes]

    @classmethod
    async def told(cls) -> Story:
        """Render it in the bot's voice."""
        engine = flite.create(flite.Settings(voice="rms"))
        pcm = b""
        try:
            for text in STORY:
                pcm += b"".join([part.pcm async for part in speech(engine, text, ANALYSIS)])
        finally:
            await engine.close()
        size = ANALYSIS.frame_bytes
        return cls([pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)])


class Recognition:
    """Moonshine with a memory."""

    def __init__(self, cache: Path | None) -> None:
        self._cache = cache
        known = cache is not None and cache.is_file()
        self._memory: dict[tuple[str, tuple[str, ...]], Decoding] = (
            pickle.loads(cache.read_bytes()) if known and cache else {}  # noqa: S301
        )

    @functools.cached_property
    def _model(self) -> MoonshineModel:
        return MoonshineModel(model_folder(), 1)

    def decode(self, pcm: bytes, among: Sequence[str]) -> Decoding:
        """Understand it."""
        key = (hashlib.sha1(pcm, usedforsecurity=False).hexdigest(), tuple(among))
        if key not in self._memory:
            decoding = self._model.decode(pcm, choices=tuple(among))
            assert decoding is not None
            self._memory[key] = decoding
        return self._memory[key]

    def save(self) -> None:
        """Write the file, if there is to be one."""
        if self._cache is not None:
            self._cache.write_bytes(pickle.dumps(self._memory))


@dataclass
class _Asked:
    due: int
    covers: int
    among: tuple[str, ...]
    begins: int


class SimulatedCall:
    """Call audio, turn taker and floor, as far as they decide who is heard."""

    def __init__(
        self,
        name: str,
        config: TurnConfig,
        detector: VoiceDetector,
        story: Story,
        recognition: Recognition,
    ) -> None:
        self.name = name
        self._config = config
        self._detector = detector
        self._story, self._recognition = story, recognition
        self._taker = TurnTaker(config, 1000.0)
        self._outlet = FrameOutlet()
        self._meter = AudibilityMeter()
        self._bot_sound = BotSound()
        self._asked: list[_Asked] = []
        self._begins: int | None = None
        self._resumes: int | None = None
        self._partial_at = 0
        self._sent: list[bytes] = []
        self._pcm = b""
        self.paused_at: list[int] = []
        self.silences_ms: list[float] = []
        self.verdicts: list[str] = []
        self.cut_at: int | None = None
        self._cut_onset = 0
        self.figure_ms: float | None = None
        """The gateway's own, without the line's delay."""

    @property
    def sent(self) -> Samples:
        """All that the bot was heard to say."""
        return np.frombuffer(b"".join(self._sent), "<i2")

    @property
    def told_s(self) -> float:
        """How long the bot talked."""
        ended = len(self._pcm) // 2 if self.cut_at is None else self.cut_at
        return ended / ANALYSIS.sample_rate_hz

    def run(self, pcm: bytes, start: int) -> None:
        """Hear all of it (mono s16le, 8 kHz), `start` frames into the story."""
        self._pcm = pcm
        lane = Lane()
        size = ANALYSIS.frame_bytes
        for number in range(len(pcm) // size + 50):
            lane.put_nowait(self._story.frames[(start + number) % len(self._story.frames)])
        self._outlet.open(lane)
        self._taker.bot_busy(0, busy=True)
        self._taker.bot_says(" ".join(STORY), 0)
        for at in range(0, len(pcm) - size + 1, size):
            self._tick(pcm[at : at + size])

    def _tick(self, received: bytes) -> None:
        sent = self._outlet.pull()
        self._sent.append(sent)
        dry = Dry(received, received)
        chunks = judged(dry, self._detector, 0, looks_ahead=self._bot_sound.hear(sent))
        speaks = self._taker.is_caller_speaking
        self._meter.feed(received, sent, is_speech=speaks)
        now = self._meter.now
        if self.cut_at is not None:
            if self.figure_ms is None and now - self.cut_at >= samples(100):
                last = self._meter.last_bot_sample() or 0
                first = self._meter.first_caller_sample(self._cut_onset)
                self.figure_ms = (last - first) / 8
            return
        self._answer(now)
        if self._resumes is not None and now >= self._resumes:
            self._resume(now)
        for event in self._taker.hear(chunks, now):
            self._handle(event, now)
        if self._begins is not None and now - self._partial_at >= _PARTIAL:
            self._ask(now, ())

    def _handle(self, event: TurnEvent, now: int) -> None:
        match event:
            case BargeInSuspected(onset=onset):
                self._outlet.pause()
                self.paused_at.append(now)
                self._resumes = None
                back = now - onset + samples(self._config.preroll_ms)
                frames = -(-back // ANALYSIS.frame_samples)
                self._begins = self._partial_at = max(0, now - frames * ANALYSIS.frame_samples)
                self._asked.clear()
            case TranscriptWanted(speech_end=speech_end):
                is_over = speech_end < now - ANALYSIS.frame_samples
                among = tuple(ASIDES) if is_over and self._taker.may_be_aside else ()
                self._ask(now, among)
            case BargeInRejected(evidence=evidence):
                self.verdicts.append(
                    f"{evidence}({event.text})@{(now - self.paused_at[-1]) / 8:.0f}"
                )
                if evidence in MAY_GO_ON and self._taker.is_caller_speaking:
                    self._resumes = now + LASTS
                else:
                    self._resume(now)
            case BargeInConfirmed(evidence=evidence):
                self.verdicts.append(
                    f"+{evidence}({event.text})@{(now - self.paused_at[-1]) / 8:.0f}"
                )
            case TurnStarted(is_barge_in=True, onset=onset):
                self._outlet.clear()
                self.cut_at, self._cut_onset = now, onset
            case TurnDiscarded():
                self._resume(now)
                self._begins = None
            case _:
                pass

    def _note(self, verdict: BargeInConfirmed | BargeInRejected, now: int) -> None:
        after_ms = (now - self.paused_at[-1]) / 8
        sign = "+" if isinstance(verdict, BargeInConfirmed) else ""
        self.verdicts.append(f"{sign}{verdict.evidence}({verdict.text})@{after_ms:.0f}")

    def _resume(self, now: int) -> None:
        self._resumes = None
        if self._outlet.is_paused:
            self._outlet.resume()
            self.silences_ms.append((now - self.paused_at[-1]) / 8)

    def _ask(self, now: int, among: tuple[str, ...]) -> None:
        assert self._begins is not None
        self._partial_at = now
        seconds = (now - self._begins) / ANALYSIS.sample_rate_hz
        due = now + samples(_DECODE_MS[0] + _DECODE_MS[1] * seconds)
        self._asked.append(_Asked(due, now, among, self._begins))

    def _answer(self, now: int) -> None:
        for asked in [each for each in self._asked if each.due <= now]:
            self._asked.remove(asked)
            pcm = self._pcm[2 * asked.begins : 2 * asked.covers]
            found = self._recognition.decode(pcm, asked.among)
            is_phantom = looks_phantom(found.text, found.log_prob, pcm)
            text = "" if is_phantom and found.choice is None else found.text
            aside = ASIDES.get(found.choice or "")
            self._taker.transcript(text, None, asked.covers, now, None, found.log_prob, aside)
