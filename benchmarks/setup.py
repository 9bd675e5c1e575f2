"""How fast a call is answered: INVITE to 200 OK, ACK to the greeting's first audio."""

from __future__ import annotations

from benchmarks._calls import short_call
from benchmarks._gateway import running_gateway
from benchmarks._report import percentiles, progress, publish, spread


async def run(*, quick: bool) -> None:
    calls = 10 if quick else 60
    answered: list[float] = []
    greeted: list[float] = []
    async with running_gateway() as gateway:
        await short_call(gateway.uri)  # the first call of a worker pays for lazy loading
        for number in range(calls):
            report = (await short_call(gateway.uri)).report
            answered.append(report["invite_to_200_ms"])
            greeted.append(report["ack_to_first_bot_ms"])
            if (number + 1) % 20 == 0:
                progress(f"{number + 1} of {calls} calls")
    publish(
        "setup",
        "Set-up, calls one after another on a warm worker",
        [
            ("INVITE to 200 OK", spread(answered, 50, 95)),
            ("ACK to first greeting audio", spread(greeted, 50, 95)),
        ],
        {
            "invite_to_200_ms": percentiles(answered, 50, 95),
            "ack_to_first_audio_ms": percentiles(greeted, 50, 95),
        },
    )
