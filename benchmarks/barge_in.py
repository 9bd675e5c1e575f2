"""How fast the bot falls silent when the caller breaks in, and whether it clicks."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks._calls import CallOutcome, make_call, pair_turns
from benchmarks._gateway import Gateway, running_gateway
from benchmarks._report import percentiles, progress, publish, spread
from gateway.probe import scenario
from gateway.probe.voices import Voice
from gateway.records.model import CallRecord

QUESTIONS = (
    "What drinks do you have?",
    "What can you do for me?",
    "What are your opening hours?",
)
"""Their answers last four seconds and more."""
TALK_MS = (900, 1400, 600, 1700, 1100)


@dataclass(frozen=True, slots=True)
class Cut:
    """One interruption, as both sides saw it."""

    stop_ms: float
    reported_ms: float | None
    heard_after_ms: float
    end_step: int
    """Largest sample step at the cut, and within the speech before it."""
    own_step: int


async def run(*, quick: bool) -> None:
    calls = 1 if quick else 4
    cuts: list[Cut] = []
    not_cut = 0
    async with running_gateway() as gateway:
        for number in range(calls):
            found, missing = await _interrupt(gateway, 4 if quick else 8, number)
            cuts += found
            not_cut += missing
            progress(f"{len(cuts)} interruptions")
    stops = [cut.stop_ms for cut in cuts]
    reported = [cut.reported_ms for cut in cuts if cut.reported_ms is not None]
    pairs = [(cut.stop_ms, cut.reported_ms) for cut in cuts if cut.reported_ms is not None]
    differences = [stop - other for stop, other in pairs]
    after = [cut.heard_after_ms for cut in cuts]
    clicks = [cut for cut in cuts if cut.end_step > cut.own_step]
    ratios = [cut.end_step / max(cut.own_step, 1) for cut in cuts]
    publish(
        "barge_in",
        "Barge-in",
        [
            ("stop at the caller", spread(stops, 50, 95)),
            ("as the gateway reported it", spread(reported, 50, 95)),
            ("caller minus gateway", spread(differences, 5, 50, 95)),
            ("old reply heard after its stop", f"{sum(after):g} ms in {len(after)} interruptions"),
            ("step at the cut / speech's own", spread(ratios, 50, 95, unit="")),
            ("cuts louder than the speech", str(len(clicks))),
            ("interruptions that cut nothing", str(not_cut)),
        ],
        {
            "caller_ms": percentiles(stops, 50, 95),
            "gateway_ms": percentiles(reported, 50, 95),
            "caller_minus_gateway_ms": percentiles(differences, 5, 50, 95),
            "heard_after_ms": sum(after),
            "clicks": len(clicks),
            "step_ratio": percentiles(ratios, 50, 95),
            "not_cut": not_cut,
            "cuts": [[c.stop_ms, c.reported_ms, c.end_step, c.own_step] for c in cuts],
        },
    )


async def _interrupt(gateway: Gateway, times: int, shift: int) -> tuple[list[Cut], int]:
    steps: list[scenario.Step] = [
        scenario.WaitForBot(),
        scenario.Say(text=QUESTIONS[shift % len(QUESTIONS)]),
    ]
    for number in range(shift + 1, shift + 1 + times):
        steps += [
            scenario.InterruptAfter(bot_speech_ms=TALK_MS[number % len(TALK_MS)]),
            scenario.Say(text=QUESTIONS[number % len(QUESTIONS)]),
        ]
    steps.append(scenario.WaitForBot())
    voice: Voice = "awb" if shift % 2 == 0 else "kal16"
    outcome = await make_call(gateway.uri, scenario.Scenario(voice=voice, steps=tuple(steps)))
    return _cuts(outcome, await gateway.record(outcome.caller), times)


def _cuts(outcome: CallOutcome, record: CallRecord, times: int) -> tuple[list[Cut], int]:
    """The gateway notes a stop at the turn that was cut, the caller at the line that cut it."""
    spurts = outcome.report["bot_spurts"]
    interrupted = {turn.index: turn for turn in record.turns}
    cuts = []
    for index, reported in pair_turns(outcome.turns, record.turns):
        turn = outcome.turns[index]
        if turn.barge_in_stop_ms is None or not reported:
            continue
        cut_turn = interrupted.get(reported[0].index - 1)
        if cut_turn is None or not cut_turn.interrupted:
            continue  # the reply was at its own end when the caller began
        stop_ms = (turn.speech_start_ns - outcome.invite_ns) / 1e6 + turn.barge_in_stop_ms
        spurt = min(spurts, key=lambda one: abs(one["end_ms"] - stop_ms))
        cuts.append(
            Cut(
                turn.barge_in_stop_ms,
                cut_turn.barge_in_stop_ms,
                turn.heard_after_stop_ms,
                spurt["end_step"],
                spurt["own_step"],
            )
        )
    return cuts, times - len(cuts)
