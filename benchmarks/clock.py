"""Does recognition disturb the media clock?  Rhythm of four calls with and without it."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks._calls import make_calls
from benchmarks._gateway import Gateway, running_gateway
from benchmarks._listening import AGENT, FILES
from benchmarks._report import percentiles, progress, publish, spread
from benchmarks.recognizer_wer import SENTENCES
from gateway.probe import scenario

CALLS = 4


async def run(*, quick: bool) -> None:
    seconds = 8 if quick else 40
    async with running_gateway(AGENT, FILES) as gateway:
        progress("callers are silent")
        silent = await _gaps(gateway, [scenario.Pause(ms=seconds * 1000)])
        before = gateway.usage()["recognizer"].cpu_s
        progress("callers talk without a pause")
        says = [scenario.Say(text=text) for text in SENTENCES]
        talking = await _gaps(gateway, says[: seconds // 2])
        recognizer_s = gateway.usage()["recognizer"].cpu_s - before
    publish(
        "clock",
        f"Outbound frame gap of {CALLS} calls, without and with recognition",
        [
            ("nobody speaks", spread(silent, 1, 50, 99, 99.9)),
            ("everybody speaks", spread(talking, 1, 50, 99, 99.9)),
            ("CPU time of the recognizer", f"{recognizer_s:.1f} s"),
        ],
        {
            "silent_ms": percentiles(silent, 1, 50, 99, 99.9),
            "talking_ms": percentiles(talking, 1, 50, 99, 99.9),
            "recognizer_cpu_s": round(recognizer_s, 1),
        },
    )


async def _gaps(gateway: Gateway, steps: Sequence[scenario.Step]) -> list[float]:
    script = scenario.Scenario(steps=(scenario.Pause(ms=1500), *steps))
    outcomes = await make_calls(gateway.uri, [script] * CALLS)
    return [gap for outcome in outcomes for gap in outcome.gaps_ms]
