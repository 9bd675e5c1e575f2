"""Conditions in which the caller breaks in: time to silence, missed interruptions, overlap."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

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
_LEAD_S = 0.3
"""So much noise is heard before the caller speaks."""


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
                rows.add(*[_row(said, trace, variant) for said in trace.said])
                _tell(rows, variant)


def _break_in(utterances: Sequence[Utterance], chance: random.Random) -> list[Part]:
    steps: list[Part] = []
    for one in utterances:
        steps += [scenario.InterruptAfter(bot_speech_ms=chance.randrange(700, 3200)), one]
        # One that was missed is not followed by the next in the same breath.
        steps.append(scenario.Pause(ms=1200))
    return steps


def _tell(rows: Rows, variant: str) -> None:
    mine = [row for row in rows.rows if row["variant"] == variant]
    stops = sorted(row["stop_ms"] for row in mine if row["stop_ms"] is not None)
    middle = f"{stops[len(stops) // 2]:.0f} ms" if stops else "never"
    missed = sum(row["missed"] for row in mine)
    progress(f"barge_in {variant}: {len(mine)} times, median stop {middle}, {missed} missed")


def _row(said: Said, trace: Trace, variant: str) -> Row:
    found = interruption(said.instants, trace.bot)
    cut = _cut_turn(said, trace.record.turns)
    return {
        "variant": variant,
        "name": said.utterance.name,
        "stop_ms": found.stop_ms,
        "gateway_stop_ms": cut.barge_in_stop_ms if cut is not None else None,
        # A command is over too soon for the caller to tell by what is heard during it.
        "missed": found.missed or (variant == "command" and cut is None),
        "kept": cut is None,
        "overlap_ms": found.overlap_ms,
        "heard_after_ms": said.turn.heard_after_stop_ms,
        "call": trace.record.call_id,
    }


def _cut_turn(said: Said, turns: Sequence[TurnRecord]) -> TurnRecord | None:
    """The gateway notes an interruption at the turn whose reply was cut."""
    if not said.reported:
        return None
    before = said.reported[0].index - 1
    return next((turn for turn in turns if turn.index == before and turn.interrupted), None)
