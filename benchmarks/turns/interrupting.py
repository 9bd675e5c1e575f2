"""Conditions in which the caller breaks in: time to silence, missed interruptions, overlap."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks._gateway import running_gateway
from benchmarks._report import progress
from benchmarks.turns import agents, corpus
from benchmarks.turns.answering import BAD_NETWORK
from benchmarks.turns.caller import Part, Said, Trace, attempt
from benchmarks.turns.corpus import Utterance
from benchmarks.turns.judge import interruption
from benchmarks.turns.plan import Plan, batched
from benchmarks.turns.store import Row, Rows
from gateway.probe import scenario
from gateway.probe.rtp import Impairments
from gateway.records.model import TurnRecord

SNR_DB = (20.0, 10.0, 5.0)
_PER_CALL = 6
_AFTER_MS = (1700, 4000)
"""So long after the bot began: a caller who comes sooner may be going on, not breaking in."""
_LEAD_S = 1.5
"""So much noise is heard before the caller speaks: what has just begun is a sound of its own."""


async def barge_in(plan: Plan) -> None:
    """Orders and short commands spoken into a long reply, clean and over noise."""
    rows = plan.store.start("barge_in", plan.about())
    noises = [noise for _, noise in corpus.noises()]
    orders = corpus.orders(plan.count(4, 100), plan.seed + 3)
    spoken = {"clean": orders}
    for snr_db in SNR_DB:
        spoken[f"{snr_db:g} dB"] = [
            corpus.over_noise(one, noises[n % len(noises)], snr_db, _LEAD_S)
            for n, one in enumerate(orders[: plan.count(1, 100)])
        ]
    spoken["command"] = await corpus.spoken(corpus.COMMANDS, plan.count(1, 60))
    await _interrupt(plan, rows, spoken)


async def words(plan: Plan) -> None:
    """Eight first words by three voices, clean and over noise, then people's own first words."""
    rows = plan.store.start("words", plan.about())
    noises = [noise for name, noise in corpus.noises() if "cry" not in name]
    clean = await corpus.spoken(corpus.FIRST_WORDS, plan.count(24, 96))
    noisy = [
        corpus.over_noise(one, noises[n % len(noises)], 10.0, _LEAD_S)
        for n, one in enumerate(clean)
    ]
    people = corpus.orders(plan.count(12, 96), plan.seed + 5)
    await _interrupt(plan, rows, {"words": clean, "words 10 dB": noisy, "people": people})


async def loss(plan: Plan) -> None:
    """Orders spoken into a long reply over a bad network."""
    rows = plan.store.start("barge_in_loss", plan.about(impairments=str(BAD_NETWORK)))
    spoken = corpus.orders(plan.count(2, 60), plan.seed + 3)
    await _interrupt(plan, rows, {"loss": spoken}, BAD_NETWORK)


async def _interrupt(
    plan: Plan,
    rows: Rows,
    spoken: Mapping[str, Sequence[Utterance]],
    impairments: Impairments | None = None,
) -> None:
    toml, files = agents.script_agent(plan.settings, agents.talker_script())
    chance = random.Random(plan.seed)
    async with running_gateway(toml, files) as gateway:
        for variant, utterances in spoken.items():
            for part in batched(utterances, _PER_CALL):
                trace = await attempt(gateway, _break_in(part, chance), impairments)
                if isinstance(trace, str):
                    rows.fail(trace)
                    progress(f"{variant}: a call failed: {trace}")
                    continue
                found = [
                    _row(said, cut, trace, variant)
                    for said, cut in zip(trace.said, _cut_turns(trace), strict=True)
                ]
                rows.add(*found)
                if any(row["missed"] or row["kept"] for row in found):
                    rows.keep(trace.bundle)
                _tell(rows, variant)


def _break_in(utterances: Sequence[Utterance], chance: random.Random) -> list[Part]:
    steps: list[Part] = []
    for one in utterances:
        steps += [scenario.InterruptAfter(bot_speech_ms=chance.randrange(*_AFTER_MS)), one]
        # One that was missed is not followed by the next in the same breath.
        steps.append(scenario.Pause(ms=1200))
    # The last turn is in the record only when it is over.
    return [*steps, scenario.Pause(ms=1500)]


def _tell(rows: Rows, variant: str) -> None:
    mine = [row for row in rows.rows if row["variant"] == variant]
    stops = [row["stop_ms"] for row in mine if row["stop_ms"] is not None]
    middle = f"{median(stops):.0f} ms" if stops else "never"
    missed = sum(row["missed"] for row in mine)
    progress(f"barge_in {variant}: {len(mine)} times, median stop {middle}, {missed} missed")


def _row(said: Said, cut: TurnRecord | None, trace: Trace, variant: str) -> Row:
    found = interruption(said.instants, trace.bot)
    return {
        "variant": variant,
        "name": said.utterance.name,
        "stop_ms": found.stop_ms,
        "final_stop_ms": found.final_stop_ms,
        "gateway_stop_ms": cut.barge_in_stop_ms if cut is not None else None,
        # A command is over too soon for the caller to tell by what is heard during it.
        "missed": found.missed or (variant == "command" and cut is None),
        "kept": cut is None,
        "overlap_ms": found.overlap_ms,
        "heard_after_ms": said.turn.heard_after_stop_ms,
        "call": trace.record.call_id,
    }


def _cut_turns(trace: Trace) -> list[TurnRecord | None]:
    """The turn whose reply each interruption cut, in the gateway's words."""
    cut = [turn for turn in trace.record.turns if turn.interrupted]
    if len(cut) == len(trace.said):
        return list(cut)
    # The interruption is noted at the turn before that which it began.
    by_index = {turn.index: turn for turn in cut}
    return [
        by_index.get(said.reported[0].index - 1) if said.reported else None for said in trace.said
    ]
