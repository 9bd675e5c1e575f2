"""Workers replaced under calls, and one killed: which calls are lost, and for how long is it felt?

One call talks for all of it.  Around it short calls come, in a ramp, while every worker is
replaced again and again; none may be lost.  Then a worker is killed under talking calls: only its
own may be lost, and its successor must take calls soon.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from benchmarks._calls import CallOutcome, conversation, make_call, make_calls, short_call
from benchmarks._report import Row, percentiles, progress, publish, spread
from gateway.errors import SipError
from gateway.load.own_gateway import OwnGateway, own_gateway
from gateway.load.processes import family, usages
from gateway.load.speech import LINES
from gateway.probe.scenario import Pause, Say, Scenario, Step, WaitForBot
from gateway.records.model import CallRecord

WORKERS = 3
_SCENARIOS = Path(__file__).parent.parent / "sipp-scenarios"
_TURN_S = 13.0
"""A line, its answer and the pause after it."""
_LEAST_RATE, _MOST_RATE = 0.2, 1.5
"""Short calls a second, at the start and at the end of the ramp."""
_REST_S = 20.0
"""Between two replacements."""
_TALKING, _TALKING_TURNS = 6, 4
_KILLED_AFTER_S = 8.0
_UP_WITHIN_S = 90.0
_CALLS_ONCE_UP = 8
_RECORDED_S = 3.0


async def run(*, quick: bool) -> None:
    minutes = 1.0 if quick else 30.0
    with tempfile.TemporaryDirectory(prefix="gateway-fleet-") as name:
        folder = Path(name)
        async with own_gateway(
            folder, _SCENARIOS, "llm", WORKERS, lambda _: None, drain_limit_s=3600
        ) as gateway:
            fleet = _Fleet(gateway, folder)
            async with fleet.api:
                rolled = await _roll(fleet, minutes)
                killed = await _kill(fleet)
    publish(
        "fleet",
        f"Workers replaced and killed under calls ({WORKERS} workers behind the edge)",
        [*rolled.rows(), *killed.rows()],
        {"replacing": rolled.figures(), "killing": killed.figures()},
    )


@dataclass(slots=True)
class _Fleet:
    """The gateway that is measured."""

    gateway: OwnGateway
    folder: Path
    api: httpx2.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        # Replacing takes as long as its workers need to start.
        url = f"http://127.0.0.1:{self.gateway.http_port}"
        self.api = httpx2.AsyncClient(base_url=url, timeout=300, trust_env=False)

    @property
    def uri(self) -> str:
        return f"sip:bench@127.0.0.1:{self.gateway.sip_port}"

    def workers(self) -> set[int]:
        """Process ids of the workers."""
        found = usages(family(self.gateway.pid))
        return {pid for pid, usage in found.items() if usage.kind == "worker"}

    async def are_up(self) -> bool:
        text = (await self.api.get("/metrics")).text
        return (
            re.search(rf'^gateway_workers\{{.*state="up".*\}} {WORKERS}\.0$', text, re.M)
            is not None
        )

    async def until_up(self) -> None:
        async with asyncio.timeout(_UP_WITHIN_S):
            while not await self.are_up():  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.2)

    def record(self, caller: str) -> CallRecord:
        """The finished record of the call from this number; not while others talk: it searches."""
        for path in self.folder.glob("calls/*/*/call.json"):
            record = CallRecord.model_validate_json(path.read_bytes())
            if caller in record.caller:
                return record
        raise LookupError(f"no record of the call from {caller}")


@dataclass(slots=True)
class _Rolled:
    """What became of the calls while workers were replaced."""

    long: CallOutcome | None = None
    short: list[float] = field(default_factory=list)
    """INVITE to 200 of each, ms."""
    failed: list[str] = field(default_factory=list)
    replaced: list[float] = field(default_factory=list)
    """How long each replacement of all workers took, seconds."""

    def rows(self) -> list[Row]:
        assert self.long is not None
        report, gaps = self.long.report, self.long.gaps_ms
        answers = [turn.response_gap_ms for turn in self.long.turns if turn.response_gap_ms]
        return [
            ("all workers replaced", f"{len(self.replaced)} times"),
            ("a replacement took", spread(self.replaced, 50, unit="s")),
            ("short calls", f"{len(self.short) + len(self.failed)}, {len(self.failed)} failed"),
            *[("  failed", text) for text in self.failed[:5]],
            ("their INVITE to 200", spread(self.short, 50, 95)),
            ("the long call", f"{sum(gaps) / 60_000:.1f} min, ended by {report['ended_by']}"),
            ("  lines answered", f"{len(answers)} of {len(self.long.turns)}"),
            ("  problems", "; ".join(report["problems"]) or "none"),
            ("  response gap", spread(answers, 50, 90)),
            ("  frame gap", spread(gaps, 50, 99, 99.9)),
            ("  packets lost", str(report["rtp"]["lost"])),
        ]

    def figures(self) -> dict[str, Any]:
        assert self.long is not None
        answers = [turn.response_gap_ms for turn in self.long.turns if turn.response_gap_ms]
        return {
            "replacements_s": percentiles(self.replaced, 50),
            "short_calls": len(self.short) + len(self.failed),
            "failed": self.failed,
            "invite_to_200_ms": percentiles(self.short, 50, 95),
            "long_call_min": round(sum(self.long.gaps_ms) / 60_000, 2),
            "long_call_ended_by": self.long.report["ended_by"],
            "long_call_lines": len(self.long.turns),
            "long_call_response_gap_ms": percentiles(answers, 50, 90),
            "long_call_frame_gap_ms": percentiles(self.long.gaps_ms, 50, 99, 99.9),
        }


async def _roll(fleet: _Fleet, minutes: float) -> _Rolled:
    seen = _Rolled()
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_call_shortly(fleet, minutes * 60, over, seen))
        group.create_task(_replace(fleet, over, seen))
        seen.long = await make_call(fleet.uri, _long_talk(round(minutes * 60 / _TURN_S)))
        over.set()
    return seen


def _long_talk(turns: int) -> Scenario:
    steps: list[Step] = [WaitForBot()]
    for number in range(turns):
        steps += [Say(text=LINES[number % len(LINES)]), WaitForBot(), Pause(ms=5000)]
    return Scenario(voice="awb", steps=tuple(steps))


async def _call_shortly(fleet: _Fleet, seconds: float, over: asyncio.Event, seen: _Rolled) -> None:
    """Make short calls, ever more of them, until the long call is over."""
    start_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while not over.is_set():
            group.create_task(_one_short(fleet, seen))
            done = min(1.0, (time.monotonic() - start_s) / seconds)
            await asyncio.sleep(1 / (_LEAST_RATE + done * (_MOST_RATE - _LEAST_RATE)))


async def _one_short(fleet: _Fleet, seen: _Rolled) -> None:
    try:
        outcome = await short_call(fleet.uri)
    except SipError as error:
        seen.failed.append(str(error))
    else:
        seen.short.append(outcome.report["invite_to_200_ms"])


async def _replace(fleet: _Fleet, over: asyncio.Event, seen: _Rolled) -> None:
    while not over.is_set():
        start_s = time.monotonic()
        answer = await fleet.api.post("/v1/replace")
        answer.raise_for_status()
        seen.replaced.append(time.monotonic() - start_s)
        calls = len(seen.short) + len(seen.failed)
        progress(f"replaced {len(seen.replaced)} times, {calls} calls, {len(seen.failed)} failed")
        await asyncio.sleep(_REST_S)


@dataclass(slots=True)
class _Killed:
    """What became of the calls when a worker was killed."""

    mine: int = 0
    """Talking calls of the killed worker."""
    others: int = 0
    """Those of the other workers."""
    lost_of_mine: int = 0
    lost_of_others: int = 0
    incomplete: int = 0
    """Records that do not say how their call ended."""
    told_s: list[float] = field(default_factory=list)
    """SIGKILL to the BYE that its callers got."""
    came: int = 0
    """Calls that were made from SIGKILL on."""
    refused: list[str] = field(default_factory=list)
    back_s: float | None = None
    """SIGKILL to the first call answered by its successor."""

    def rows(self) -> list[Row]:
        back = "never" if self.back_s is None else f"{self.back_s:.1f} s"
        return [
            ("a worker killed under", f"{self.mine} calls of its own, {self.others} of others"),
            ("  ended by that", f"{self.lost_of_mine} of its own, {self.lost_of_others} of others"),
            ("  told by a BYE after", spread(self.told_s, 50, unit="s")),
            ("  records not complete", str(self.incomplete)),
            ("  calls that came then", f"{self.came}, {len(self.refused)} not answered"),
            *[("    not answered", text) for text in self.refused[:5]],
            ("  its successor took a call after", back),
        ]

    def figures(self) -> dict[str, Any]:
        return {
            "own_calls": self.mine,
            "own_lost": self.lost_of_mine,
            "other_calls": self.others,
            "others_lost": self.lost_of_others,
            "records_incomplete": self.incomplete,
            "told_s": percentiles(self.told_s, 50),
            "came": self.came,
            "not_answered": self.refused,
            "successor_took_a_call_s": self.back_s,
        }


async def _kill(fleet: _Fleet) -> _Killed:
    await fleet.until_up()
    seen = _Killed()
    before = fleet.workers()
    victim = min(before)
    lines = [Say(text=line) for line in LINES[:_TALKING_TURNS]]
    async with asyncio.TaskGroup() as group:
        talking = group.create_task(make_calls(fleet.uri, [conversation(lines)] * _TALKING))
        await asyncio.sleep(_KILLED_AFTER_S)
        progress(f"killing worker {victim}")
        killed_ns = time.monotonic_ns()
        os.kill(victim, signal.SIGKILL)
        coming = group.create_task(_call_meanwhile(fleet, seen))
    await asyncio.sleep(_RECORDED_S)
    for outcome in talking.result():
        _judge(seen, outcome, fleet.record(outcome.caller), victim, killed_ns)
    for outcome in coming.result():
        if seen.back_s is None and fleet.record(outcome.caller).worker_pid not in before:
            seen.back_s = _since_s(outcome, outcome.report["invite_to_200_ms"], killed_ns)
    return seen


async def _call_meanwhile(fleet: _Fleet, seen: _Killed) -> list[CallOutcome]:
    """Call again and again until all workers have been up for a while."""
    made: list[CallOutcome] = []
    after_up = 0
    async with asyncio.timeout(_UP_WITHIN_S):
        while after_up < _CALLS_ONCE_UP:
            seen.came += 1
            try:
                made.append(await short_call(fleet.uri))
            except SipError as error:
                seen.refused.append(str(error))
            after_up += await fleet.are_up()
    return made


def _judge(
    seen: _Killed, outcome: CallOutcome, record: CallRecord, victim: int, killed_ns: int
) -> None:
    was_cut = outcome.report["ended_by"] != "caller"
    seen.incomplete += record.end_reason != ("worker_lost" if was_cut else "caller_hung_up")
    if record.worker_pid != victim:
        seen.others += 1
        seen.lost_of_others += was_cut
        return
    seen.mine += 1
    seen.lost_of_mine += was_cut
    if was_cut:
        report = outcome.report
        ended_ms = report["invite_to_200_ms"] + report["call_ms"]
        seen.told_s.append(_since_s(outcome, ended_ms, killed_ns))


def _since_s(outcome: CallOutcome, after_invite_ms: float, then_ns: int) -> float:
    return round((outcome.invite_ns + after_invite_ms * 1e6 - then_ns) / 1e9, 2)
