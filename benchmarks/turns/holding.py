"""Conditions in which nobody wants the floor: noise, backchannels, the bot's own echo.

The bot tells a story; what is heard of it is laid against a call in which nothing else was heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks._gateway import Gateway, running_gateway
from benchmarks._report import progress
from benchmarks.turns import agents, corpus
from benchmarks.turns.caller import Part, Trace, attempt
from benchmarks.turns.corpus import Utterance
from benchmarks.turns.plan import Plan, batched
from benchmarks.turns.seams import seams
from benchmarks.turns.store import Row, Rows
from gateway.probe import scenario
from gateway.probe.g711 import Samples
from gateway.probe.rtp import Impairments

NOISE_DBFS = (-30.0, -42.0)
ECHO_DB = (-12.0, -20.0, -28.0, -35.0)
ECHO_DELAY_MS = (30.0, 120.0, 300.0, 600.0)
_SPEECH_DBFS = -22.0
_EVERY_MS = 3500
_AT_ONCE = 2
"""Calls; nothing here is a matter of milliseconds."""
_GIVEN_UP_MS = 4000
"""Silence after which the story is over or lost."""


@dataclass(frozen=True, slots=True)
class _Case:
    """What is heard while the bot tells its story."""

    variant: str
    name: str
    background: Samples | None = None
    impairments: Impairments | None = None
    said: Sequence[Part] = field(default_factory=tuple)


async def noise(plan: Plan) -> None:
    """Recorded noise behind a caller who says nothing; then short words of attention."""
    rows = plan.store.start("noise", plan.about())
    recordings = corpus.noises()[: plan.count(1, 100)]
    cases = [
        _Case(f"noise {level:g} dBFS", name, corpus.at_level(samples, level, speech=False))
        for level in NOISE_DBFS
        for name, samples in recordings
    ]
    words = await corpus.spoken(corpus.BACKCHANNELS, plan.count(4, 150))
    size = 4  # a reply that is lost ends the call, and with it the chance of the next words
    for start in range(0, len(words), size):
        said = _now_and_then(words[start : start + size])
        cases.append(_Case("backchannel", f"words {start}", said=said))
    await _listen(plan, rows, cases)


async def echo(plan: Plan) -> None:
    """The bot's own sound comes back."""
    rows = plan.store.start("echo", plan.about())
    pairs = [(db, delay_ms) for db in ECHO_DB for delay_ms in ECHO_DELAY_MS]
    if not plan.full:
        pairs = [(-12.0, 120.0), (-20.0, 450.0)]
    cases = [
        _Case(
            "echo",
            f"{db:g} dB {delay_ms:g} ms",
            impairments=Impairments(echo_db=db, echo_delay_ms=delay_ms),
        )
        for db, delay_ms in pairs
    ]
    await _listen(plan, rows, cases)


def _now_and_then(words: Sequence[Utterance]) -> list[Part]:
    parts: list[Part] = [scenario.InterruptAfter(bot_speech_ms=1500)]
    for one in words:
        parts += [one, scenario.Pause(ms=_EVERY_MS)]
    return parts


async def _listen(plan: Plan, rows: Rows, cases: Sequence[_Case]) -> None:
    story = agents.story_script(6 if plan.full else 4)
    toml, files = agents.script_agent(plan.settings, story)
    async with running_gateway(toml, files) as gateway:
        quiet = await attempt(gateway, [_until_over()])
        if isinstance(quiet, str):
            rows.fail(f"no reference: {quiet}")
            return
        reference = quiet.heard
        rows.add(_row(_Case("quiet", "nobody speaks"), quiet, reference))
        for pair in batched(cases, _AT_ONCE):
            await asyncio.gather(*(_tell(gateway, rows, case, reference) for case in pair))


async def _tell(gateway: Gateway, rows: Rows, case: _Case, reference: Samples) -> None:
    steps = [*case.said, _until_over()]
    trace = await attempt(gateway, steps, case.impairments, case.background)
    if isinstance(trace, str):
        rows.fail(f"{case.variant} {case.name}: {trace}")
        progress(f"{case.variant} {case.name}: failed: {trace}")
        return
    row = _row(case, trace, reference)
    rows.add(row)
    if row["lost"]:
        rows.keep(trace.bundle)
    progress(
        f"{case.variant}, {case.name}: {'LOST' if row['lost'] else 'kept'} "
        f"after {row['bot_speech_s']:.0f} s, {len(row['seams'])} pauses"
    )


def _until_over() -> Part:
    return scenario.WaitForBot(silence_ms=_GIVEN_UP_MS, timeout_s=8.0)


def _row(case: _Case, trace: Trace, reference: Samples) -> Row:
    found, reached = seams(trace.heard, reference)
    story = trace.record.turns[0] if trace.record.turns else None
    held = getattr(story, "false_interruptions", ()) if story else ()
    loud = np.flatnonzero(np.abs(reference.astype(np.int32)) > 1000)
    told_s = reached * float(loud[-1] - loud[0]) / 8000
    return {
        "variant": case.variant,
        "name": case.name,
        "lost": bool(story is None or story.interrupted or reached < 0.98),
        "interrupted": bool(story and story.interrupted),
        "bot_speech_s": round(told_s, 1),
        "reached": round(reached, 3),
        "words": sum(isinstance(part, Utterance) for part in case.said),
        "seams": [
            [s.at_s, s.silence_ms, s.repeated_ms, s.skipped_ms, s.step, s.own_step] for s in found
        ],
        "false_interruptions": [[h.at_s, h.evidence, h.silent_ms] for h in held],
        "caller_turns": [turn.caller_text for turn in trace.record.turns if turn.caller_text],
        "call": trace.record.call_id,
    }
