"""How soon the bot is silent when somebody breaks in, and what false alarms cost, offline.

`BENCH_DATA=../shared/data python -m benchmarks.turns.barge_in_curve [--only words,nods]`

The gateway's own parts on audio time: mu-law, silero, turn taker, outlet and meter as in a call,
the bot telling a story, moonshine with a modelled delay.  First words, nods and people are each put
behind two seconds of silence or noise, at several places within the frames.  A stop is what a
caller would measure: from the first audible sample of the word to the bot's last one before it
is silent for good, plus what line and jitter buffer take on a quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.turns import corpus
from benchmarks.turns.agents import parse_setting
from benchmarks.turns.barge_in_call import Recognition, SimulatedCall, Story
from gateway.audio.audible import LEAST, audible_samples
from gateway.audio.format import ANALYSIS, NARROWBAND
from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.config.models import TurnConfig
from gateway.errors import ProviderError
from gateway.probe import voices
from gateway.probe.g711 import Samples
from gateway.providers import registry
from gateway.providers.contracts import VoiceDetection
from gateway.providers.kit.speech import speech
from gateway.providers.tts import espeak

NODS = ("Mm-hmm.", "Uh-huh.", "Okay.", "Right.", "Yeah.", "I see.")
ESPEAK_VOICES = ("en-us", "en")
TO_WIRE_MS = 25.0
"""Jitter buffer and concealment on the way in; a quiet machine adds nothing else."""
_RATE = ANALYSIS.sample_rate_hz
_LEAD_S, _TAIL_S = 2.0, 2.5
_LEVEL_DBFS = -22.0
_SNR_DB = 10.0
_PEOPLE_S = 1.5
"""So much of an order is its first words."""


@dataclass
class Result:
    """What one caller met."""

    name: str
    stop_ms: float | None
    """None: the bot was not cut."""
    first_stop_ms: float | None
    off_ms: float | None
    """What the gateway's own figure says, less the stop."""
    pauses: int
    verdicts: list[str] = field(default_factory=list)


async def rendered(texts: Sequence[str]) -> dict[str, Samples]:
    """Short words by three flite voices, and two of espeak-ng."""
    found = {}
    for voice in corpus.LETTER_VOICES:
        for text in texts:
            found[f"{voice}: {text}"] = await voices.render(text, voice)
    for name in ESPEAK_VOICES:
        engine = espeak.create(espeak.Settings(voice=name))
        try:
            for text in texts:
                parts = [part.pcm async for part in speech(engine, text, NARROWBAND)]
                found[f"espeak {name}: {text}"] = np.frombuffer(b"".join(parts), "<i2")
        except ProviderError as error:
            print(f"without {name}: {error}", file=sys.stderr)
        finally:
            await engine.close()
    return {name: corpus.at_level(samples, _LEVEL_DBFS) for name, samples in found.items()}


class Bench:
    """Models and settings that all calls share."""

    def __init__(
        self,
        config: TurnConfig,
        story: Story,
        recognition: Recognition,
        detection: VoiceDetection,
    ) -> None:
        self._config, self._story = config, story
        self._recognition = recognition
        self._detection = detection

    def call(self, name: str, pcm: Samples, start: int) -> SimulatedCall:
        """Let a whole recording be heard while the bot talks, `start` frames into its story."""
        line = decode_ulaw(encode_ulaw(pcm.astype("<i2").tobytes()))
        detector = self._detection.open()
        call = SimulatedCall(name, self._config, detector, self._story, self._recognition)
        call.run(line, start)
        return call

    def interrupt(self, name: str, clean: Samples, noise: Samples | None, place: int) -> Result:
        """Let one caller break in."""
        chance = random.Random(f"{name} {place}")
        lead = round(_LEAD_S * _RATE) + chance.randrange(1280)
        voice = np.pad(clean, (lead, round(_TAIL_S * _RATE)))
        voice = voice[: len(voice) - len(voice) % ANALYSIS.frame_samples]
        sent, over = voice, LEAST
        if noise is not None:
            behind = _behind(noise, clean, len(voice), chance)
            over = corpus.heard_from(voice, behind)
            mixed = voice.astype(np.int32) + behind
            sent = np.clip(mixed, -32768, 32767).astype(np.int16)
        call = self.call(name, sent, chance.randrange(200))
        audible = audible_samples(voice, over)
        return _result(name, call, int(audible[0]))


def _behind(noise: Samples, clean: Samples, size: int, chance: random.Random) -> Samples:
    start = chance.randrange(len(noise))
    behind = np.resize(np.roll(noise, -start), size).astype(np.float64)
    wanted = corpus.speech_rms(clean) / 10 ** (_SNR_DB / 20)
    level = float(np.sqrt((behind**2).mean()))
    return np.clip(behind * wanted / max(level, 1.0), -32768, 32767).astype(np.int16)


def _result(name: str, call: SimulatedCall, onset: int) -> Result:
    figure_ms = None if call.figure_ms is None else max(0.0, call.figure_ms + TO_WIRE_MS)
    bot = audible_samples(call.sent)
    stops = [_silent_from(bot, pause) for pause in call.paused_at if pause > onset - _RATE // 10]
    first = None if not stops else max(0.0, (stops[0] - onset) / 8 + TO_WIRE_MS)
    stop = None
    if call.cut_at is not None:
        stop = max(0.0, (_silent_from(bot, call.cut_at) - onset) / 8 + TO_WIRE_MS)
    off = None if stop is None or figure_ms is None else figure_ms - stop
    return Result(name, stop, first, off, len(stops), call.verdicts)


def _silent_from(bot: np.ndarray, at: int) -> int:
    """The bot's last sample before it is silent because of what was decided at `at`."""
    return int(bot[np.searchsorted(bot, at + 2 * ANALYSIS.frame_samples) - 1]) + 1


def table(name: str, results: Sequence[Result]) -> str:
    """One line: the stops, the double stops, the figures."""
    stops = [r.stop_ms for r in results if r.stop_ms is not None]
    offs = [r.off_ms for r in results if r.off_ms is not None]
    double = sum(r.pauses > 1 and r.stop_ms is not None for r in results)
    near = sum(abs(off) <= 20 for off in offs)
    return (
        f"| {name} | {len(results)} | {_spread(stops, 50, 90, 95, 100)} | "
        f"{sum(stop > 200 for stop in stops)} | {double} | {len(results) - len(stops)} | "
        f"{_spread(offs, 5, 50, 95)} | {100 * near / max(1, len(offs)):.0f} % |"
    )


HEAD = (
    "| callers | n | stop p50 / p90 / p95 / max ms | over 200 | stopped twice | not cut | "
    "figure less wire p5 / p50 / p95 | within 20 ms |\n|---|---|---|---|---|---|---|---|"
)


def _spread(values: Sequence[float], *points: int) -> str:
    if not values:
        return "-"
    return " / ".join(f"{np.percentile(values, point):.0f}" for point in points)


def _cases(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Samples]]]:
    if "words" in options.only:
        yield "words", asyncio.run(rendered(corpus.FIRST_WORDS))
    if "nods" in options.only:
        yield "nods", asyncio.run(rendered(NODS))
    if "people" in options.only:
        orders = corpus.orders(options.people)
        size = round(_PEOPLE_S * _RATE)
        yield "people", {one.name: one.clean[:size] for one in orders}


def _noises(*, crying: bool) -> list[tuple[str, Samples]]:
    return [(name, pcm) for name, pcm in corpus.noises() if ("cry" in name) == crying]


def _measure_noise(bench: Bench) -> None:
    print("| noise | minutes | pauses per minute | silent s per minute | longest ms | lost |")
    print("|---|---|---|---|---|---|")
    for crying in (False, True):
        for level in (-30.0, -42.0):
            pauses, silent_s, longest, lost, minutes = 0, 0.0, 0.0, 0, 0.0
            for name, pcm in _noises(crying=crying):
                call = bench.call(
                    f"noise {level} {name}", corpus.at_level(pcm, level, speech=False), 0
                )
                pauses += len(call.paused_at)
                silent = call.silences_ms
                silent_s += sum(silent) / 1000
                longest = max([longest, *silent])
                lost += call.cut_at is not None
                minutes += call.told_s / 60
            kind = "babies" if crying else "others"
            print(
                f"| {kind} {level:g} dBFS | {minutes:.1f} | {pauses / minutes:.2f} | "
                f"{silent_s / minutes:.2f} | {longest:.0f} | {lost} |",
                flush=True,
            )


def main() -> int:
    """Print the tables."""
    options = _options()
    recognition = Recognition(options.cache)
    story = asyncio.run(Story.told())
    settings = nested(options.set)
    detection = registry.create("vad", {"provider": options.vad})
    bench = Bench(TurnConfig.model_validate(settings), story, recognition, detection)
    if options.only != ["noise"]:
        print(HEAD)
    for kind, callers in _cases(options):
        for noisy in (False, True):
            results = []
            noises = _noises(crying=False)
            for number, (name, clean) in enumerate(callers.items()):
                for place in range(options.places if kind != "people" else 1):
                    noise = noises[(number + place) % len(noises)][1] if noisy else None
                    label = f"{name} {'10 dB' if noisy else 'clean'}"
                    results.append(bench.interrupt(label, clean, noise, place))
            print(table(f"{kind}, {'10 dB' if noisy else 'clean'}", results), flush=True)
            if options.details:
                _tell(results)
            recognition.save()
    if "noise" in options.only:
        _measure_noise(bench)
        recognition.save()
    return 0


def nested(settings: Sequence[str]) -> dict[str, object]:
    """`barge_in.pause_probability=0.4` and so on, as the configuration has it."""
    found: dict[str, object] = {}
    for key, value in map(parse_setting, settings):
        *path, last = key.split(".")
        place = found
        for name in path:
            place = place.setdefault(name, {})  # type: ignore[assignment]
        place[last] = value
    return found


def _tell(results: Sequence[Result]) -> None:
    for result in results:
        stop = "never" if result.stop_ms is None else f"{result.stop_ms:.0f}"
        off = "" if result.off_ms is None else f"{result.off_ms:+.0f}"
        print(f"    {result.name:40s} {stop:>6s} {off:>5s}  {' '.join(result.verdicts)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--only", type=lambda text: text.split(","),
        default=["words", "people", "nods", "noise"])  # fmt: skip
    parser.add_argument("--places", type=int, default=2, help="of each word within the frames")
    parser.add_argument("--people", type=int, default=60, help="recorded people")
    parser.add_argument("--cache", type=Path, default=None, help="file that keeps transcripts")
    parser.add_argument("--vad", default="silero", help="voice detector")
    parser.add_argument("--details", action="store_true", help="tell every call")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
