"""Telephone numbers and spelled names, offline: cut-offs and gap for several patiences.

`python -m benchmarks.turns.dictation_curve [--data DIR] [--count 60] [--free | --question]`

As `endpointing_curve`, but each turn is a dictation that the dialogue expects.  Numbers are put
together from recorded single digits of one speaker, at their own level, silence around them cut
off: `spread`, 7, 8 or 10 digits with 0.2-1.2 s between any two; `grouped`, ten digits in groups of
3, 3 and 4 with 0.3-1.2 s between groups and 0.05-0.25 s within.  Names are spelled by flite.
`--question` is the dictation to a language model: nothing is expected but what its question tells.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.turns import corpus
from benchmarks.turns.endpointing_curve import Decoder, Outcome, Recording, prepare, run
from benchmarks.turns.judge import digit_recall
from gateway.audio.wav import read_wav
from gateway.config.models import TurnConfig
from gateway.conversation.asking import expected_by
from gateway.providers.contracts import Expect, VoiceDetection
from gateway.providers.vad import silero
from gateway.recognizer.grammar import GrammarName
from gateway.turn.completeness import Wanted

RATE = 8000
Turn = tuple[str, Recording]
"""What is dictated, and the recording of it."""


def trimmed(pcm: bytes) -> bytes:
    """Cut the frames (20 ms) at both ends that are 35 dB under the loudest."""
    frames = np.frombuffer(pcm[: len(pcm) // 320 * 320], "<i2").astype(np.float64).reshape(-1, 160)
    power = (frames**2).mean(axis=1) + 1
    loud = np.flatnonzero(power > power.max() / 10**3.5)
    return pcm[loud[0] * 320 : (loud[-1] + 1) * 320]


def numbers(data: Path, count: int, pacing: str, detector: VoiceDetection) -> list[Turn]:
    """Put numbers together, the speakers taking turns."""
    chance = random.Random(105)
    speakers: dict[str, list[Path]] = {}
    for file in sorted((data / "digits").glob("*.wav")):
        speakers.setdefault(file.stem.split("_")[1], []).append(file)
    turns = []
    for place in range(count):
        files = speakers[sorted(speakers)[place % len(speakers)]]
        size = 10 if pacing == "grouped" else chance.choice((7, 8, 10))
        chosen = [chance.choice(files) for _ in range(size)]
        pcm = b"".join(
            _pause(chance, pacing, at) + trimmed(read_wav(file)[0])
            for at, file in enumerate(chosen)
        )
        number = "".join(file.stem[0] for file in chosen)
        turns.append((number, prepare(f"{pacing} {place} {number}", pcm, detector)))
    return turns


def names(count: int, detector: VoiceDetection) -> list[Turn]:
    """Names spelled by synthetic voices."""
    spoken = asyncio.run(corpus.spelled_names(count))
    return [(one.text, prepare(one.name, one.sent.tobytes(), detector)) for one in spoken]


def row(name: str, turns: Sequence[Turn], outcomes: Sequence[Outcome]) -> str:
    """One line of the table."""
    gaps = sorted(o.gap_ms for o in outcomes if o.gap_ms is not None)
    cut = sum(o.false_starts > 0 for o in outcomes)
    said = [" ".join(end.text for end in o.ends) for o in outcomes]
    recall = [
        digit_recall(text, heard)
        for (text, _), heard in zip(turns, said, strict=True)
        if text[0].isdigit()
    ]
    understood = f"{100 * statistics.mean(recall):.0f}" if recall else "-"
    unanswered = len(outcomes) - len(gaps)
    return (
        f"| {name} | {cut} of {len(outcomes)} | {unanswered} | {statistics.median(gaps):.0f} "
        f"| {sum(gap < 700 for gap in gaps)} | {understood} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, default=corpus.DATA)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--free", action="store_true", help="recognition knows of no dictation")
    parser.add_argument("--question", nargs="?", const="What is your phone number?",
                        help="what a language model asks; empty = nothing")  # fmt: skip
    parser.add_argument("--dictation-ms", type=int, nargs="+", default=[1000, 1300, 1600, 2000])
    options = parser.parse_args()
    detector = silero.create(silero.Settings())
    print("| what, dictation_ms | cut off | unanswered | gap p50 ms | under 700 ms | digits % |")
    print("|---|---|---|---|---|---|")
    for pacing in ("spread", "grouped"):
        turns = numbers(options.data, options.count, pacing, detector)
        if options.question is not None:
            _measure_question(pacing, turns, options.question)
            continue
        for known in (True, False):
            length = "length known" if known else "length unknown"
            _measure(f"{pacing}, {length}", turns, "digits", options, known=known)
    if options.question is not None:
        return
    _measure("names", names(options.count, detector), "letters", options, known=False)


def _measure_question(pacing: str, turns: Sequence[Turn], question: str) -> None:
    expect = expected_by(question) or Expect()
    is_number = expect.kind in {"digits", "phone_number"}
    decoder = Decoder(None, "digits" if is_number else None)
    wanted = Wanted(expect.kind, expect.digits)
    outcomes = [run(recording, TurnConfig(), decoder, wanted) for _, recording in turns]
    print(row(f"{pacing}, after {question!r} ({expect.kind})", turns, outcomes), flush=True)


def _measure(
    name: str,
    turns: Sequence[Turn],
    grammar: GrammarName,
    options: argparse.Namespace,
    *,
    known: bool,
) -> None:
    decoder = Decoder(None, None if options.free else grammar)
    kind = "spelling" if grammar == "letters" else "phone_number"
    for patience_ms in options.dictation_ms:
        config = TurnConfig(dictation_ms=patience_ms)
        outcomes = [
            run(recording, config, decoder, Wanted(kind, len(text) if known else None))
            for text, recording in turns
        ]
        print(row(f"{name}, {patience_ms}", turns, outcomes), flush=True)


def _pause(chance: random.Random, pacing: str, place: int) -> bytes:
    if place == 0:
        return bytes(RATE // 5 * 2)
    low, high = 0.2, 1.2
    if pacing == "grouped":
        low, high = (0.3, 1.2) if place in {3, 6} else (0.05, 0.25)
    return bytes(2 * round(RATE * chance.uniform(low, high)))


if __name__ == "__main__":
    main()
