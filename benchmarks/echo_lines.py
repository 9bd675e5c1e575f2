"""Synthetic lines with an echo: how often the bot suspects itself, how soon a caller is noticed.

`python -m benchmarks.echo_lines [--data ../shared/data] [--seeds N]`

Offline, without a gateway: the echo of recorded prompts, alone or with a recorded caller over it,
through echo control and voice detector as in a call.  A suspicion is one chunk at which the bot
holds its breath; more within 400 ms belong to the same.  A start is what the turn's own rule calls
speech.
"""

from __future__ import annotations

import argparse
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gateway.audio.echo_control import Dry, EchoControl
from gateway.audio.voice_chunk import Chunk
from gateway.call.call_audio import judged
from gateway.config.models import TurnConfig
from gateway.providers.vad.silero import SileroModel, SpeechProbability
from gateway.turn.barge_in_alarm import Alarm
from gateway.turn.vad import SpeechDetector, SpeechStarted
from tests.support.echo import (
    RATE,
    at_level,
    echo_of,
    frames,
    on_the_line,
    pcm,
    random_slips,
    room_echo_of,
    slipped,
)

LEVELS_DB = (-12.0, -20.0, -30.0)
DELAYS_MS = (30.0, 120.0, 300.0, 450.0, 600.0)
PATHS = {"line": echo_of, "room": room_echo_of}
SLIP_EVERY_S = 4.0
CALLERS_DBFS = (-26.0, -36.0)
CALLER_LINES = ((-12.0, 120.0, "line"), (-20.0, 300.0, "line"), (-20.0, 120.0, "room"))
CALLER_AT_S = (0.5, 5.0)
_SECONDS = 16.0
_BOT_DBFS = -20.0
_SAME_S = 0.4
_LATE_MS = 400.0
_AUDIBLE_ENERGY = 1000.0
_TURN = TurnConfig()


class Alarms(NamedTuple):
    """What was taken for a caller in one call, in seconds."""

    suspicions: list[float]
    starts: list[float]


@dataclass(slots=True)
class Cell:
    """Lines of one kind."""

    bot_s: float = 0.0
    suspicions: int = 0
    at_first: int = 0
    """Of these, in the first second of the call's first echo."""
    starts: int = 0

    def text(self) -> str:
        """One line of the report."""
        minutes = self.bot_s / 60
        return (
            f"{self.suspicions / minutes:.2f} suspicions/min ({self.suspicions}, first second "
            f"{self.at_first}), {self.starts / minutes:.2f} starts/min, {minutes:.1f} min"
        )


@dataclass(slots=True)
class Delays:
    """How much later callers of one kind are noticed than without an echo."""

    suspicion_ms: list[float] = field(default_factory=list)
    start_ms: list[float] = field(default_factory=list)

    def text(self) -> str:
        """One line of the report."""
        said = []
        for name, values in (("suspicion", self.suspicion_ms), ("start", self.start_ms)):
            p50, p90 = np.percentile(values, [50, 90])
            late = 100 * np.mean(np.array(values) > _LATE_MS)
            said.append(f"{name} p50 {p50:.0f} p90 {p90:.0f} ms, {late:.0f} % over 400 ms")
        return "; ".join(said)


class Studio:
    """The recordings, and the one detector for all."""

    def __init__(self, data: Path) -> None:
        self.prompts = [_read(path) for path in sorted((data / "prompts").glob("*.wav"))]
        self.orders = [_read(path) for path in sorted((data / "orders").glob("*.wav"))]
        self._model = SileroModel()

    def bot(self, seed: int, seconds: float = _SECONDS) -> np.ndarray:
        """Prompts in a random order with short pauses, after a second of silence."""
        random = np.random.default_rng(seed)
        parts = [np.zeros(RATE)]
        while sum(map(len, parts)) < seconds * RATE:
            prompt = self.prompts[random.integers(len(self.prompts))]
            parts += [at_level(prompt, _BOT_DBFS), np.zeros(int(random.uniform(0.3, 0.8) * RATE))]
        return np.concatenate(parts)[: int(seconds * RATE) // 160 * 160]

    def caller(self, number: int, dbfs: float) -> np.ndarray:
        """An order from 100 ms before its first loud sound on."""
        order = at_level(self.orders[number % len(self.orders)], dbfs)
        return order[max(0, _first_loud(order) - RATE // 10) :]

    def alarms(self, dry: Iterator[Dry], after_s: float = 0.0) -> Alarms:
        """Listen to a call; alarms before `after_s` do not count."""
        detector = SpeechProbability(self._model)
        looks = [chunk for each in dry for chunk in judged(each, detector, 0, looks_ahead=True)]
        whole = [chunk for chunk in looks if not chunk.is_provisional]
        starts = [at for at in _starts(whole) if at >= after_s]
        return Alarms(_suspicions(looks, after_s), starts)


def through_control(received: bytes, sent: bytes) -> Iterator[Dry]:
    """One call's frames as the call takes them."""
    control = EchoControl()
    try:
        for both in zip(frames(received), frames(sent), strict=True):
            yield control.push(*both)
    finally:
        control.close()


def measure_false(studio: Studio, kind: str, seeds: int, *, slips: bool) -> Cell:
    """Nobody speaks but the bot."""
    cell = Cell()
    for db, delay_ms, seed in product(LEVELS_DB, DELAYS_MS, range(seeds)):
        number = int(abs(db) * 1000 + delay_ms + seed * 7)
        bot = studio.bot(number)
        echo = PATHS[kind](bot, db, delay_ms, seed=number)
        if slips:
            echo = slipped(echo, random_slips(_SECONDS, SLIP_EVERY_S, number))
        alarms = studio.alarms(through_control(on_the_line(echo, number), pcm(bot)))
        first_s = _first_loud(bot) / RATE + delay_ms / 1000
        cell.bot_s += np.sum(np.mean(bot.reshape(-1, 160) ** 2, axis=1) > _AUDIBLE_ENERGY) * 0.02
        cell.suspicions += len(alarms.suspicions)
        cell.at_first += sum(at < first_s + 1 for at in alarms.suspicions)
        cell.starts += len(alarms.starts)
    return cell


def measure_callers(studio: Studio, dbfs: float, at_s: float, count: int) -> Delays:
    """Somebody speaks over the echo, so long after its beginning."""
    delays = Delays()
    for (db, delay_ms, kind), number in product(CALLER_LINES, range(count)):
        bot = studio.bot(number + 200, 12.0)
        begin = _first_loud(bot) + int((delay_ms / 1000 + at_s) * RATE)
        words = studio.caller(number, dbfs)[: len(bot) - begin]
        near = np.zeros(len(bot))
        near[begin : begin + len(words)] = words
        clean = (Dry(frame, frame) for frame in frames(on_the_line(near, number)))
        mixed = on_the_line(near + PATHS[kind](bot, db, delay_ms, seed=number), number)
        expected = studio.alarms(clean, begin / RATE)
        found = studio.alarms(through_control(mixed, pcm(bot)), begin / RATE)
        for values, want, have in zip(
            (delays.suspicion_ms, delays.start_ms), expected, found, strict=True
        ):
            if want:
                values.append(1000 * ((have[0] if have else _SECONDS) - want[0]))
    return delays


def _suspicions(chunks: Sequence[Chunk], after_s: float) -> list[float]:
    found: list[float] = []
    last_s = -1.0
    alarm = Alarm(_TURN.barge_in.pause_probability)
    for chunk in chunks:
        at = chunk.end / RATE
        is_alarming = alarm.peek(chunk) if chunk.is_provisional else alarm.hear(chunk)
        if not is_alarming or at < after_s:
            continue
        if at - last_s > _SAME_S:
            found.append(at)
        last_s = at
    return found


def _starts(chunks: Sequence[Chunk]) -> list[float]:
    detector = SpeechDetector(
        _TURN.start_probability, _TURN.start_chunks, _TURN.stop_probability, _TURN.hangover_ms
    )
    edges = (detector.update(chunk.probability, chunk.end) for chunk in chunks)
    return [edge.detected_at_sample / RATE for edge in edges if isinstance(edge, SpeechStarted)]


def _first_loud(samples: np.ndarray) -> int:
    return int(np.flatnonzero(np.abs(samples) > np.abs(samples).max() / 10)[0])


def _read(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=1, help="calls per level and delay")
    parser.add_argument("--callers", type=int, default=12, help="callers per line")
    options = parser.parse_args()
    studio = Studio(options.data)
    for kind, slips in product(PATHS, (False, True)):
        cell = measure_false(studio, kind, options.seeds, slips=slips)
        print(f"{kind}, {'slips' if slips else 'steady'}: {cell.text()}", flush=True)
    for dbfs, at_s in product(CALLERS_DBFS, CALLER_AT_S):
        delays = measure_callers(studio, dbfs, at_s, options.callers)
        print(f"caller at {dbfs:g} dBFS, {at_s:g} s in: {delays.text()}", flush=True)


if __name__ == "__main__":
    main()
