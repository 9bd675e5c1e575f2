"""A whole load test: the gateway (or the target), its steps, the report."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.demo.screen import Screen
from gateway.load.own_gateway import Engine, own_gateway
from gateway.load.plan import LoadPlan
from gateway.load.report import LoadReport, Machine, StepFigures
from gateway.load.sipp_output import SippCounts
from gateway.load.snapshot import Site
from gateway.load.speech import write_speech
from gateway.load.step import run_step
from gateway.load.target import GatewayApi, SipTarget
from gateway.load.verdict import leaks_between, saturation_of, slope_per_hour

_PROGRESS_EVERY = 10
"""Without a terminal, one progress line in this many is printed."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What the command line asks for."""

    plan: LoadPlan
    out: Path
    """Folder of the report; SIPp's and the gateway's files go into `run` in it."""
    scenarios: Path
    command: str = "gateway load"
    target: SipTarget | None = None
    """None = a gateway of our own."""
    http_url: str = ""
    """Of the target's API; empty = it is not asked."""
    api_key: str = ""
    target_pid: int | None = None
    """The target's supervisor, when it runs here."""
    engine: Engine = "llm"
    workers: int = 1
    leaks: bool = False
    """Compare memory and the like at rest, before and after."""
    warm_s: float = 30.0
    """Calls before the first look at rest (only with `leaks`)."""


Save = Callable[[LoadReport], None]


async def run_load(options: LoadOptions, screen: Screen, save: Save) -> LoadReport:
    """Carry a load test out.

    Args:
        options: what to do.
        screen: shows how it goes.
        save: is given the report after every step, so that an interrupted test has one.

    Raises:
        GatewayError: it could not be carried out.
        OSError: the folder of the report cannot be written to.
    """
    work = _fresh_folder(options.out)
    media = work / "media"
    shutil.copytree(options.scenarios / "media", media)
    screen.line("rendering what the callers say ...")
    await write_speech(media)
    machine = this_machine()
    async with _site(options, work, screen) as site:
        test = _Test(options, site, work, media, screen)
        return await test.run(machine, save)


class _Test:
    """The steps of one test against one gateway."""

    def __init__(
        self, options: LoadOptions, site: Site, work: Path, media: Path, screen: Screen
    ) -> None:
        self._options = options
        self._site = site
        self._work = work
        self._media = media
        self._screen = screen
        self._runs = 0

    async def run(self, machine: Machine, save: Save) -> LoadReport:
        """Go through all steps."""
        options, plan = self._options, self._options.plan
        if options.leaks:
            await self._warm_up()
        idle = await self._site.idle_figures()
        memory = (await self._site.snapshot()).memory_bytes()
        self._site.memory.clear()
        steps: list[StepFigures] = []
        report = self._report(machine, steps)
        for number, calls in enumerate(plan.steps, 1):
            name = f"step {number}/{len(plan.steps)}: {calls} calls"
            steps.append(await self._judged(calls, name, memory, steps[0] if steps else None))
            report = self._report(machine, steps)
            save(report)
            if steps[-1].saturation and plan.stop_at_saturation:
                break
        if not options.leaks:
            return report
        slope = slope_per_hour(self._site.memory)
        update = {
            "leaks": tuple(leaks_between(idle, await self._site.idle_figures())),
            "leak_calls": sum(step.started for step in steps),
            "memory_mb_per_hour": None if slope is None else round(slope / 1e6, 2),
        }
        return report.model_copy(update=update)

    def _report(self, machine: Machine, steps: Sequence[StepFigures]) -> LoadReport:
        options, plan = self._options, self._options.plan
        target = options.target
        return LoadReport(
            command=options.command,
            target=target.uri if target is not None else f"own gateway, {options.workers} workers",
            engine="" if target is not None else options.engine,
            mix=plan.mix,
            rate_per_s=plan.rate_per_s,
            machine=machine,
            steps=tuple(steps),
        )

    async def _judged(
        self, calls: int, name: str, memory: float | None, first: StepFigures | None
    ) -> StepFigures:
        """Measure a step; again when it was slow, which may have been the machine's doing."""
        before: tuple[str, ...] = ()
        attempt = 0
        while True:
            attempt += 1
            title = name if attempt == 1 else f"{name} (try {attempt})"
            step = await self._step(self._options.plan, calls, title, memory)
            saturation = tuple(saturation_of(first or step, step))
            step = step.model_copy(update={"saturation": saturation, "first_try": before})
            self._screen.line(_summary(step))
            if not saturation or step.failed or attempt >= self._options.plan.tries:
                return step
            before = before or saturation

    async def _warm_up(self) -> None:
        """Let every process load what it loads with its first calls."""
        calls = max(self._options.plan.steps)
        plan = replace(self._options.plan, hold_s=self._options.warm_s, total=0, probes=1)
        await self._step(plan, calls, f"warming up: {calls} calls", None)

    async def _step(
        self, plan: LoadPlan, calls: int, name: str, memory: float | None
    ) -> StepFigures:
        told = 0

        def show(counts: SippCounts, passed_s: float, whole_s: float) -> None:
            nonlocal told
            text = _progress(name, plan.probes_of(calls), counts, passed_s, whole_s)
            self._screen.progress(text)
            if not self._screen.is_terminal and told % _PROGRESS_EVERY == 0:
                self._screen.line(text)
            told += 1

        self._runs += 1
        folder = self._work / f"{self._runs:02}-{calls}-calls"
        places = (self._options.scenarios, self._media, folder)
        return await run_step(plan, calls, self._site, places, memory, show)


@asynccontextmanager
async def _site(options: LoadOptions, work: Path, screen: Screen) -> AsyncIterator[Site]:
    """Return the gateway to test; one of our own runs as long as the context lasts."""
    if options.target is not None:
        api = GatewayApi(options.http_url, options.api_key) if options.http_url else None
        try:
            if api is not None:
                await api.metrics()  # a wrong address or key is told at once
            yield Site(options.target, api, options.target_pid, {os.getpid()})
        finally:
            if api is not None:
                await api.close()
        return
    elapsed_s = 0.0

    def tick(seconds: float) -> None:
        nonlocal elapsed_s
        elapsed_s = seconds
        screen.progress(f"starting a gateway ... {seconds:.0f} s")

    async with own_gateway(
        work, options.scenarios, options.engine, options.workers, tick
    ) as gateway:
        screen.line(f"a gateway of our own is ready after {elapsed_s:.0f} s")
        api = GatewayApi(f"http://127.0.0.1:{gateway.http_port}")
        load = {os.getpid()} | ({gateway.double_pid} if gateway.double_pid else set())
        try:
            target = SipTarget("127.0.0.1", gateway.sip_port)
            yield Site(target, api, gateway.pid, load)
        finally:
            await api.close()


def this_machine() -> Machine:
    """Describe the machine, the date and the present load."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        load_average=os.getloadavg(),
    )


def _fresh_folder(out: Path) -> Path:
    """Make the folder for what runs; that of an earlier test of ours is replaced."""
    work = out / "run"
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    return work.absolute()


def _progress(name: str, probes: int, counts: SippCounts, passed_s: float, whole_s: float) -> str:
    of = f"/{whole_s:.0f}" if whole_s else ""
    return (
        f"{name}  {passed_s:.0f}{of} s  running {counts.running}+{probes}  done {counts.done}"
        f"  failed {counts.failed}  {counts.rate_per_s:.1f} new/s"
    )


def _summary(step: StepFigures) -> str:
    gap, frame = step.gap_wire_ms, step.frame_wire_ms
    parts = [f"{step.calls} calls: {step.done} done, {step.failed} failed"]
    if gap.n:
        parts.append(f"gap p50 {gap.p50:.0f} p90 {gap.p90:.0f} ms (n = {gap.n})")
    if frame.n:
        parts.append(f"frame gap p99 {frame.p99:.1f} ms")
    if step.cpu_percent_per_call is not None:
        parts.append(f"{step.cpu_percent_per_call:.2f} % of a core per call")
    return ", ".join(parts)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()
