"""How often the bot interrupts itself over an echo, and how fast a caller gets through."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks._calls import make_calls, pair_turns
from benchmarks._gateway import Gateway, running_gateway
from benchmarks._report import percentiles, progress, publish, spread
from gateway.probe import scenario
from gateway.probe.rtp import Impairments

STORY = (
    "Welcome to the line test. This is a long announcement, and nobody speaks while it lasts. "
    "We have coffee and tea in three sizes, and cake on every day but Sunday. "
    "You may order by telephone, leave a message, or ask when we are open. "
    "Our kitchen closes an hour before the shop, and on holidays we stay at home. "
    "If you hear this to its end, the bot has not interrupted itself."
)
AGENTS = f"""
[agents.story]
greeting = "{STORY}"
llm = {{ provider = "script" }}
"""
QUESTION = "What are your opening hours?"
DELAYS_MS = (30.0, 120.0, 300.0, 600.0)
LEVELS_DB = (-12.0, -20.0, -30.0)
INTERRUPT_MS = (1500, 3000, 5000, 8000)
_CALLS = 4


@dataclass(slots=True)
class Line:
    """What was found at one level and delay of the echo, with or without cancelling."""

    cancels: bool
    db: float
    delay_ms: float
    false_cuts: int = 0
    bot_speech_s: float = 0.0
    return_loss_db: float | None = None
    enhancement_db: float | None = None

    @property
    def per_minute(self) -> float:
        """False cuts per minute of bot speech."""
        return 60 * self.false_cuts / self.bot_speech_s if self.bot_speech_s else 0.0


async def run(*, quick: bool) -> None:
    delays, repeats = ((120.0, 450.0), 1) if quick else (DELAYS_MS, 2)
    lines = []
    for cancels in (False, True):
        media = f"[media]\necho_cancel = {str(cancels).lower()}\n"
        async with running_gateway(media + AGENTS) as gateway:
            for db in LEVELS_DB:
                for delay_ms in delays:
                    lines.append(await _listen(gateway, Line(cancels, db, delay_ms), repeats))
                    progress(_text(lines[-1]))
            stops, missed = await _interrupt(gateway, 1 if quick else 4) if cancels else ([], 0)
    rows = [(f"echo {line.db:g} dB after {line.delay_ms:g} ms", _text(line)) for line in lines]
    publish(
        "echo",
        "Echo",
        [
            *rows,
            ("false cuts per minute, raw", _per_minute(lines, cancels=False)),
            ("false cuts per minute, cancelled", _per_minute(lines, cancels=True)),
            ("barge-in stop over -20 dB echo", spread(stops, 50, 95)),
            ("interruptions that cut nothing", str(missed)),
        ],
        {
            "lines": [
                [x.cancels, x.db, x.delay_ms, x.false_cuts, round(x.bot_speech_s, 1)] for x in lines
            ],
            "enhancement_db": [[x.db, x.delay_ms, x.enhancement_db] for x in lines if x.cancels],
            "barge_in_ms": percentiles(stops, 50, 95),
            "missed": missed,
        },
    )


async def _listen(gateway: Gateway, line: Line, repeats: int) -> Line:
    """Callers who say nothing and give back what they hear."""
    script = scenario.Scenario(steps=(scenario.WaitForBot(silence_ms=1500),))
    bad = Impairments(echo_db=line.db, echo_delay_ms=line.delay_ms)
    for _ in range(repeats):
        for outcome in await make_calls(gateway.uri, [script] * _CALLS, bad):
            record = await gateway.record(outcome.caller)
            line.false_cuts += sum(
                event["kind"] == "interrupted" and event["cause"] == "speech"  # not by hanging up
                for event in gateway.events(record.call_id)
            )
            spurts = outcome.report["bot_spurts"]
            line.bot_speech_s += sum(s["end_ms"] - s["start_ms"] for s in spurts) / 1000
            if record.echo is not None:
                line.return_loss_db = record.echo.return_loss_db
                line.enhancement_db = record.echo.enhancement_db
    return line


async def _interrupt(gateway: Gateway, repeats: int) -> tuple[list[float], int]:
    """Callers who break in; one call per moment at a time."""
    stops: list[float] = []
    bad = Impairments(echo_db=-20.0, echo_delay_ms=120.0)
    asked = 0
    for number in range(repeats * len(INTERRUPT_MS)):
        steps = (
            scenario.InterruptAfter(bot_speech_ms=INTERRUPT_MS[number % len(INTERRUPT_MS)]),
            scenario.Say(text=QUESTION),
            scenario.WaitForBot(),
        )
        [outcome] = await make_calls(gateway.uri, [scenario.Scenario(steps=steps)], bad)
        record = await gateway.record(outcome.caller)
        asked += 1
        for index, reported in pair_turns(outcome.turns, record.turns):
            stop_ms = outcome.turns[index].barge_in_stop_ms
            if stop_ms is not None and reported:
                stops.append(stop_ms)
        progress(f"{len(stops)} of {asked} interruptions")
    return stops, asked - len(stops)


def _per_minute(lines: list[Line], *, cancels: bool) -> str:
    those = [line for line in lines if line.cancels == cancels]
    minutes = sum(line.bot_speech_s for line in those) / 60
    cuts = sum(line.false_cuts for line in those)
    return f"{cuts / minutes:.2f}  ({cuts} in {minutes:.1f} min of bot speech)" if minutes else "-"


def _text(line: Line) -> str:
    how = "cancelled" if line.cancels else "raw"
    more = f", {line.enhancement_db:g} dB taken away" if line.enhancement_db else ""
    return f"{how}: {line.per_minute:.2f} false cuts/min{more}"
