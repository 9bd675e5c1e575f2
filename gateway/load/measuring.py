"""Measuring callers: a few calls among the load that wait for answers as people do, and time them.

SIPp plays its speech and hears nothing.  These calls, made by the probe (`gateway/probe/`), time
the bot at their own RTP edge.  Run in a process of their own by `gateway load`:

    python -m gateway.load.measuring --to sip:x@127.0.0.1:5060 --calls 2 --settle-s 3 --seconds 30

It says "ready" when everything is rendered, starts at a line on standard input, stops `seconds`
after `settle-s`, and prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import sys
import time
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict

from gateway.errors import GatewayError, SipError
from gateway.load.speech import LINES, VOICES
from gateway.probe.__main__ import precise_loop
from gateway.probe.caller import Call
from gateway.probe.g711 import Samples
from gateway.probe.media import RtpPeer
from gateway.probe.performance import Performance, render_lines, spoken_instants
from gateway.probe.scenario import Say, Scenario, Step, WaitForBot
from gateway.probe.timeline import (
    Arrival,
    frame_gaps_ms,
    lost_packets,
    loud_instants,
    measure_turns,
)
from gateway.probe.transactions import open_sip_socket

_SETTLE_MS = 700
"""How long the bot must be quiet before the caller speaks."""
_SHORTEST_TURN_S = 2.0
"""A line and its answer take longer."""
_SHORTEST_CALL_S = 10.0
"""No further call is made for less."""
_PAUSE_S = 0.5


class MeasuredCall(BaseModel):
    """One call; all but `all_gaps_ms` is of the measured time only."""

    model_config = ConfigDict(frozen=True)

    user: str
    status: int = 0
    answer_ms: float | None = None
    gaps_ms: tuple[float, ...] = ()
    """Of what was said until then and answered then."""
    all_gaps_ms: tuple[float, ...] = ()
    """Of the whole call."""
    frame_gaps_ms: tuple[float, ...] = ()
    lost_packets: int = 0
    late_p99_ms: float | None = None
    """How late its own packets left."""
    is_hung_up: bool = False
    """The other side ended it before its time."""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Window:
    """Measured time, `time.monotonic_ns()`."""

    start_ns: int
    end_ns: int


@dataclass(slots=True)
class _Caller:
    """One call and what is left of it when it is over."""

    user: str
    call: Call
    media: RtpPeer
    performance: Performance
    problems: list[str] = field(default_factory=list)
    is_hung_up: bool = False

    def measured(self, window: _Window) -> MeasuredCall:
        """Work the figures out; not while others still talk."""
        times = self.call.times
        answer = None
        if times.invite_ns is not None and times.answered_ns is not None:
            answer = round((times.answered_ns - times.invite_ns) / 1e6, 2)
        within = [p for p in self.media.received if window.start_ns <= p.at_ns < window.end_ns]
        turns = self._turns()
        late = [
            tick.late_ms
            for tick in self.media.sent
            if window.start_ns <= tick.at_ns < window.end_ns
        ]
        return MeasuredCall(
            user=self.user,
            status=self.call.status,
            answer_ms=answer,
            gaps_ms=tuple(gap for gap, said_ns in turns if said_ns >= window.start_ns),
            all_gaps_ms=tuple(gap for gap, _ in turns),
            frame_gaps_ms=tuple(np.round(frame_gaps_ms(within), 2)),
            lost_packets=lost_packets(_of_audio(within)),
            late_p99_ms=round(float(np.percentile(late, 99)), 2) if late else None,
            is_hung_up=self.is_hung_up,
            problems=(*self.problems, *self.performance.problems),
        )

    def _turns(self) -> list[tuple[float, int]]:
        """Return the response gap of every answered line, and when the line was over."""
        spoken = [spoken_instants(self.media, line) for line in self.performance.lines]
        audio = [packet.audio for packet in self.media.received if packet.audio is not None]
        turns = measure_turns([line for line in spoken if len(line)], loud_instants(audio))
        return [
            (round(turn.response_gap_ms, 1), turn.speech_end_ns)
            for turn in turns
            if turn.response_gap_ms is not None
        ]


def conversation(first: int, seconds: float) -> Scenario:
    """Return a talk that lasts longer than `seconds`, beginning with line `first`.  Pure."""
    wait = WaitForBot(silence_ms=_SETTLE_MS)
    steps: list[Step] = [wait]
    for index in range(first, first + int(seconds / _SHORTEST_TURN_S) + 1):
        steps += [Say(text=LINES[index % len(LINES)]), wait]
    return Scenario(voice=VOICES[first % len(VOICES)], steps=tuple(steps))


async def measure(given: argparse.Namespace) -> list[MeasuredCall]:
    """Make all calls and measure them when the last is over."""
    length_s = given.settle_s + given.seconds
    scripts = [conversation(5 * number, length_s) for number in range(given.calls)]
    speeches = [await render_lines(script) for script in scripts]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    now = time.monotonic_ns()
    start = now + round(given.settle_s * 1e9)
    window = _Window(start, start + round(given.seconds * 1e9))
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_calls(given, number, script, speech, window))
            for number, (script, speech) in enumerate(zip(scripts, speeches, strict=True))
        ]
    return [call for task in tasks for call in task.result()]


async def _calls(
    given: argparse.Namespace,
    number: int,
    script: Scenario,
    speech: dict[Step, Samples],
    window: _Window,
) -> list[MeasuredCall]:
    """Call once for all of the measured time, or again and again for `call_s` each."""
    await asyncio.sleep(number * given.stagger_s)
    found: list[MeasuredCall] = []
    while (left_s := (window.end_ns - time.monotonic_ns()) / 1e9) > _SHORTEST_CALL_S or not found:
        user = f"{given.user}-{number}-{len(found)}"
        caller = await _talk(given, user, script, speech, min(left_s, given.call_s or left_s))
        # Working the figures out holds up the other callers, which mostly end at the same time.
        await asyncio.sleep(_PAUSE_S)
        found.append(caller.measured(window))
        if not given.call_s and not caller.is_hung_up:
            break
    return found


async def _talk(
    given: argparse.Namespace,
    user: str,
    script: Scenario,
    speech: dict[Step, Samples],
    call_s: float,
) -> _Caller:
    """Make one call of `seconds`."""
    end_s = asyncio.get_running_loop().time() + call_s
    media = RtpPeer(given.bind)
    try:
        async with open_sip_socket(given.bind) as sip:
            call = Call(sip, media, user=user)
            caller = _Caller(user, call, media, Performance(call, media, speech, _ignore))
            try:
                await call.place(given.to)
                async with asyncio.timeout_at(end_s):
                    await caller.performance.run(script)
                caller.is_hung_up = True
            except SipError as error:
                caller.problems.append(f"{error.status} {error.reason}")
            except TimeoutError:
                pass  # it has lasted as long as it should
            finally:
                await call.hang_up()
    finally:
        media.close()
    return caller


def _of_audio(arrivals: list[Arrival]) -> list[Arrival]:
    return [packet for packet in arrivals if packet.audio is not None]


def _ignore(_event: str, _fields: object) -> None:
    return None


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m gateway.load.measuring", description=__doc__)
    parser.add_argument("--to", required=True)
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--settle-s", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--call-s", type=float, default=0.0, help="0 = one call for all the time")
    parser.add_argument("--stagger-s", type=float, default=0.5)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--user", default="load")
    given = parser.parse_args()
    # The collector pauses for longer than a packet may be late.
    gc.freeze()
    gc.disable()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            calls = runner.run(measure(given))
    except KeyboardInterrupt:
        return 130
    except (GatewayError, OSError) as error:
        sys.stderr.write(f"measuring callers: {error}\n")
        return 1
    sys.stdout.write(json.dumps([call.model_dump() for call in calls]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
