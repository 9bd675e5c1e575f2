"""One step of a load test: its callers, its measured time, its figures."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.load.measuring import MeasuredCall
from gateway.load.percentiles import Percentiles, percentiles_of, percentiles_of_buckets
from gateway.load.plan import LoadError, LoadPlan
from gateway.load.prometheus import buckets_between
from gateway.load.report import StepFigures
from gateway.load.sipp import Sipp, SippJob, counts_of, running_sipps
from gateway.load.sipp_output import GOODBYE, SippCounts
from gateway.load.snapshot import Site, Snapshot, gateway_cores, load_cores, machine_cores
from gateway.load.target import MOST_RECORDS, ApiError
from gateway.process.local import python_process, tail
from gateway.records.model import CallRecord

SETTLE_S = 4.0
"""From the last call's start to the beginning of the measured time."""
_DRAIN_S = 20.0
"""How much longer than they should last calls may take to end."""
_READY_TIMEOUT_S = 60.0
_AGENT_ENDED = frozenset({"bot_hung_up", "silence", "transferred", "max_duration"})
Show = Callable[[SippCounts, float, float], None]
"""Called about once a second with counts, elapsed seconds and total seconds."""


@dataclass(frozen=True, slots=True)
class _Times:
    """Lengths, in seconds."""

    ramp: float
    hold: float

    @property
    def until_measured(self) -> float:
        """From the first call to the measured time."""
        return self.ramp + SETTLE_S

    @property
    def whole(self) -> float:
        """From the first call to the end of the measured time."""
        return self.until_measured + self.hold


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a step has left behind."""

    before: Snapshot
    after: Snapshot
    began: datetime
    """Of the measured time."""
    answered_s: float
    """How long calls were begun."""
    sipps: Sequence[Sipp]
    probes: Sequence[MeasuredCall]
    records: Sequence[CallRecord]
    rest_memory: float | None
    has_api: bool
    """Whether `records` can be had at all."""


async def run_step(
    plan: LoadPlan,
    calls: int,
    site: Site,
    places: tuple[Path, Path, Path],
    rest_memory: float | None,
    show: Show,
) -> StepFigures:
    """Start the calls of one step, measure them, and end them.

    Args:
        plan: the whole test.
        calls: at once in this step.
        site: the address to call.
        places: the scenarios, the speech files, and a new folder for this step.
        rest_memory: bytes of all gateway processes before the first call.
        show: told the progress.

    Raises:
        LoadError: SIPp or the measuring callers could not work.
    """
    scenarios, media, folder = places
    folder.mkdir(parents=True)
    times = _Times(plan.ramp_s_of(calls), plan.hold_s_of(calls))
    jobs = _jobs(plan, calls, times)
    before_all = datetime.now(UTC)
    async with (
        _measuring(plan, calls, site, times, folder) as measuring,
        running_sipps(jobs, scenarios, media, folder, site.target) as sipps,
    ):
        pids = [sipp.pid for sipp in sipps] + [process.pid for process in measuring]
        for process in measuring:
            await _start(process)
        before, after, began = await _watch(site, sipps, pids, times, plan, show)
        for sipp in sipps:
            await sipp.finish(sipp.job.call_s + _DRAIN_S)
        probes = [call for process in measuring for call in await _result(process, folder)]
        _complain(sipps)
    records = await _records(site, before_all)
    answered_s = after.at_s - before.at_s + times.until_measured
    seen = _Seen(before, after, began, answered_s, sipps, probes, records, rest_memory,
                 site.api is not None)  # fmt: skip
    return _figures(calls, seen)


def _jobs(plan: LoadPlan, calls: int, times: _Times) -> list[SippJob]:
    # A call that lasts as long as its step must not end within the measured time.
    call_s = plan.call_s or times.whole + 1.0
    shares = plan.shares(calls)
    mixed = sum(shares.values())
    return [
        SippJob(
            name,
            count,
            plan.rate_per_s * count / mixed,
            call_s,
            round(plan.total * count / mixed) if plan.total else 0,
        )
        for name, count in shares.items()
    ]


async def _watch(
    site: Site, sipps: list[Sipp], pids: list[int], times: _Times, plan: LoadPlan, show: Show
) -> tuple[Snapshot, Snapshot, datetime]:
    """Let the calls go on; look at the gateway at the ends of the measured time."""
    loop = asyncio.get_running_loop()
    start_s = loop.time()

    def tell() -> None:
        now_s = loop.time()
        show(counts_of(sipps), now_s - start_s, 0.0 if plan.total else times.whole)
        site.note_memory(now_s)

    await _let_pass(start_s + times.until_measured, tell)
    before, began = await site.snapshot(pids), datetime.now(UTC)
    if plan.total:
        while not all(sipp.has_ended for sipp in sipps):
            await asyncio.sleep(1.0)
            tell()
    else:
        await _let_pass(start_s + times.whole, tell)
    return before, await site.snapshot(pids), began


async def _let_pass(until_s: float, tell: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    while (left_s := until_s - loop.time()) > 0:
        await asyncio.sleep(min(1.0, left_s))
        tell()


@asynccontextmanager
async def _measuring(
    plan: LoadPlan, calls: int, site: Site, times: _Times, folder: Path
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Run the measuring callers' process, if there are any; it waits to be started."""
    count = plan.probes_of(calls)
    if not count:
        yield []
        return
    arguments = ["-m", "gateway.load.measuring", "--to", site.target.uri, "--calls", str(count)]
    arguments += ["--settle-s", str(times.until_measured), "--seconds", str(times.hold)]
    arguments += ["--stagger-s", str(1 / plan.rate_per_s), "--bind", site.target.local_address]
    arguments += ["--call-s", str(plan.call_s)]
    log = folder / "measuring.log"
    async with python_process(log, *arguments, is_read=True, is_written=True) as process:
        assert process.stdout is not None  # noqa: S101 (asked for)
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                is_ready = await process.stdout.readline()
        except TimeoutError:
            is_ready = b""
        if not is_ready:
            raise LoadError(f"the measuring callers did not start:\n{tail(log)}")
        yield [process]


async def _start(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None  # noqa: S101 (asked for)
    process.stdin.write(b"go\n")
    with suppress(ConnectionError):
        await process.stdin.drain()


async def _result(process: asyncio.subprocess.Process, folder: Path) -> list[MeasuredCall]:
    assert process.stdout is not None  # noqa: S101 (asked for)
    text = await process.stdout.read()
    try:
        return [MeasuredCall.model_validate(call) for call in json.loads(text)]
    except ValueError:
        said = tail(folder / "measuring.log")
        raise LoadError(f"the measuring callers ended without a result:\n{said}") from None


def _complain(sipps: Sequence[Sipp]) -> None:
    if faults := [fault for sipp in sipps if (fault := sipp.fault() or sipp.idleness())]:
        raise LoadError("\n".join(faults))


async def _records(site: Site, start: datetime) -> list[CallRecord]:
    if site.api is None:
        return []
    try:
        return await site.api.calls_since(start)
    except ApiError:
        return []


def _figures(calls: int, seen: _Seen) -> StepFigures:
    counts = counts_of(list(seen.sipps))
    broken = [call for call in seen.probes if call.problems and not call.is_hung_up]
    causes: Counter[str] = Counter()
    for sipp in seen.sipps:
        causes.update(sipp.causes())
    causes.update(f"measuring caller: {call.problems[0]}" for call in broken)
    byes = causes[GOODBYE] + sum(call.is_hung_up for call in seen.probes)
    goodbyes = goodbyes_of(byes, seen.records if seen.has_api else None)
    failed = counts.failed + len(broken) + sum(c.is_hung_up for c in seen.probes) - goodbyes
    causes[GOODBYE] = byes - goodbyes
    answers = [took for sipp in seen.sipps for took in sipp.answer_times_ms()]
    answers += [call.answer_ms for call in seen.probes if call.answer_ms is not None]
    memory = seen.after.memory_bytes()
    extra = None if memory is None or seen.rest_memory is None else memory - seen.rest_memory
    late = [call.late_p99_ms for call in seen.probes if call.late_p99_ms is not None]
    return StepFigures(
        calls=calls,
        probes=len(seen.probes),
        seconds=round(seen.after.at_s - seen.before.at_s, 1),
        started=counts.started + len(seen.probes),
        done=counts.done + counts.failed + len(seen.probes) - failed,
        failed=failed,
        causes=dict(+causes),
        goodbyes=goodbyes,
        retransmissions=counts.retransmissions,
        setup_per_s=round(len(answers) / seen.answered_s, 2),
        answer_ms=percentiles_of(answers),
        gap_wire_ms=percentiles_of([gap for call in seen.probes for gap in call.gaps_ms]),
        gap_gateway_ms=percentiles_of(recorded_gaps_ms(seen.records, seen.began)),
        agreement_ms=percentiles_of(differences_ms(seen.probes, seen.records)),
        frame_wire_ms=percentiles_of([gap for call in seen.probes for gap in call.frame_gaps_ms]),
        frame_gateway_ms=_frame_gaps(seen.before, seen.after),
        engine_failures=_engine_failures(seen.before, seen.after),
        lost_packets=sum(call.lost_packets for call in seen.probes),
        caller_late_p99_ms=max(late) if late else None,
        gateway_cores=gateway_cores(seen.before, seen.after),
        load_cores=load_cores(seen.before, seen.after),
        machine_cores=round(machine_cores(seen.before, seen.after), 3),
        memory_mb=None if memory is None else round(memory / 1e6, 1),
        extra_memory_mb=None if extra is None else round(extra / 1e6, 1),
    )


def goodbyes_of(byes: int, records: Sequence[CallRecord] | None) -> int:
    """Return how many of the calls that the other side ended its agent ended, for a reason.  Pure.

    Args:
        byes: calls that the other side ended.
        records: what the gateway says of the step's calls; None = it cannot be asked: then an
            agent that hangs up is taken at its word.
    """
    if records is None or len(records) >= MOST_RECORDS:
        return byes
    return min(byes, sum(record.end_reason in _AGENT_ENDED for record in records))


def recorded_gaps_ms(records: Sequence[CallRecord], began: datetime | None = None) -> list[float]:
    """Return the response gaps of turns that began in the measured time (or of all).  Pure."""
    return [
        turn.response_gap_ms
        for record in records
        for turn in record.turns
        if turn.response_gap_ms is not None
        and turn.caller_text
        and record.answered_at is not None
        and (
            began is None or record.answered_at + timedelta(seconds=turn.started_s or 0.0) >= began
        )
    ]


def differences_ms(probes: Sequence[MeasuredCall], records: Sequence[CallRecord]) -> list[float]:
    """Compare both sides' response gaps, call by call, where they count the same turns.  Pure."""
    found: list[float] = []
    for probe in probes:
        own = [record for record in records if record.caller == probe.user]
        gaps = recorded_gaps_ms(own)
        if len(own) == 1 and len(gaps) == len(probe.all_gaps_ms):
            found += [said - heard for said, heard in zip(gaps, probe.all_gaps_ms, strict=True)]
    return found


def _frame_gaps(before: Snapshot, after: Snapshot) -> Percentiles:
    if before.metrics is None or after.metrics is None:
        return Percentiles()
    buckets = buckets_between(before.metrics, after.metrics, "outbound_frame_gap_seconds")
    return percentiles_of_buckets({bound * 1000: count for bound, count in buckets.items()})


def _engine_failures(before: Snapshot, after: Snapshot) -> int:
    if before.metrics is None or after.metrics is None:
        return 0
    old = before.metrics.counters.get("provider_errors", 0.0)
    return max(0, round(after.metrics.counters.get("provider_errors", 0.0) - old))
