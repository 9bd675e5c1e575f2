"""SIPp: one process per scenario of the mix, its folder, its files, its end."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.child_processes import end_child
from gateway.load.plan import LoadError
from gateway.load.sipp_output import (
    SippCounts,
    parse_response_times,
    parse_statistics,
    refine_causes,
    total,
)
from gateway.load.target import SipTarget
from gateway.process.local import free_port, free_udp_ports, tail

_RTP_PORTS_PER_CALL = 4
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class SippJob:
    """What one SIPp has to do."""

    scenario: str
    calls: int
    """At once."""
    rate_per_s: float
    call_s: float
    """How long a `<pause/>` without a length lasts."""
    total: int = 0
    """Number of calls after which it stops by itself; 0 = when it is ended."""


class Sipp:
    """One SIPp that runs."""

    def __init__(self, job: SippJob, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.job = job
        self._folder = folder
        self._process = process

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """True when it is over."""
        return self._process.returncode is not None

    def counts(self) -> SippCounts:
        """Return how far it is."""
        return parse_statistics(_read(self._folder / "statistics.csv"))

    def causes(self) -> dict[str, int]:
        """Return the failed calls by cause."""
        return refine_causes(self.counts(), _read(self._folder / "errors.log"))

    def answer_times_ms(self) -> list[float]:
        """Return INVITE to 200 of every call."""
        found = [_read(path) for path in self._folder.glob("*_rtt.csv")]
        return [took for text in found for _, took in parse_response_times(text)]

    async def finish(self, timeout_s: float) -> None:
        """Start no more calls and wait for those that run; what then still runs is ended."""
        if self.has_ended:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGUSR1)
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            await end_child(self._process, _STOP_S)

    def fault(self) -> str:
        """Return why it could not run at all; empty = it could."""
        code = self._process.returncode
        # 0 = all calls well, 1 = some failed, 97 = told to stop, 99 = no call made
        if code is None or code in {0, 1, 97, 99}:
            return ""
        said = _read(self._folder / "errors.log") or tail(self._folder / "stderr.log")
        return f"SIPp ({self.job.scenario}) ended with {code}: {said.strip()[-400:]}"

    def idleness(self) -> str:
        """Return a complaint when it has not made a single call, else an empty text."""
        if self.counts().started:
            return ""
        said = _read(self._folder / "errors.log") or tail(self._folder / "stderr.log")
        code = f"exit code {self._process.returncode}" if self.has_ended else "it was waiting"
        return f"SIPp ({self.job.scenario}) made no call at all ({code}): {said.strip()[-400:]}"


@asynccontextmanager
async def running_sipps(
    jobs: list[SippJob], scenarios: Path, media: Path, folder: Path, target: SipTarget
) -> AsyncIterator[list[Sipp]]:
    """Run SIPp for every job as long as the context lasts.

    Args:
        jobs: one SIPp each.
        scenarios: `sipp-scenarios/`.
        media: folder of speech files; the scenarios find it beside their own as `../media`.
        folder: for the scenarios' copies and SIPp's files.
        target: the address to call.

    Raises:
        LoadError: SIPp or a scenario is missing.
    """
    program = shutil.which("sipp")
    if program is None:
        raise LoadError("SIPp is not installed: apt-get install sip-tester")
    async with AsyncExitStack() as stack:
        sipps = []
        for job in jobs:
            own = _prepared(job.scenario, scenarios, media, folder)
            arguments = sipp_arguments(job, target, _own_ports(job.calls))
            with (own / "stderr.log").open("wb") as errors:
                process = await asyncio.create_subprocess_exec(
                    program,
                    *arguments,
                    cwd=own,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,
                )
            stack.push_async_callback(end_child, process, _STOP_S)
            sipps.append(Sipp(job, own, process))
        yield sipps


def sipp_arguments(job: SippJob, target: SipTarget, ports: Mapping[str, int]) -> list[str]:
    """Return the command line without the program.  Pure."""
    # SIPp takes whole calls per period only: 2.5 a second are 25 in ten seconds.
    options: dict[str, object] = {
        "-sf": "scenario.xml",
        "-s": target.user,
        "-i": target.local_address,
        "-mi": target.local_address,
        **ports,
        "-t": "u1" if target.transport == "udp" else "t1",
        "-r": max(1, round(job.rate_per_s * 10)),
        "-rp": 10_000,
        "-l": job.calls,
        "-d": round(job.call_s * 1000),
        "-timer_resol": 1,
        "-stf": "statistics.csv",
        "-fd": 1,
        "-rtt_freq": 1,
        "-error_file": "errors.log",
        # It would end itself when a busy machine lets it wait.
        "-watchdog_minor_maxtriggers": 1_000_000,
        "-watchdog_major_maxtriggers": 1_000_000,
    }
    if job.total:
        options["-m"] = job.total
    words = [str(word) for pair in options.items() for word in pair]
    return [*words, "-trace_stat", "-trace_rtt", "-trace_err", "-nostdin", target.host_port]


def counts_of(sipps: list[Sipp]) -> SippCounts:
    """Add up how far all are."""
    return total(sipp.counts() for sipp in sipps)


def _prepared(scenario: str, scenarios: Path, media: Path, folder: Path) -> Path:
    """Copy a scenario, with the speech files beside it."""
    source = scenarios / scenario / "scenario.xml"
    if not source.is_file():
        known = sorted(path.parent.name for path in scenarios.glob("*/scenario.xml"))
        raise LoadError(f"no scenario {scenario} in {scenarios}; there are {', '.join(known)}")
    own = folder / scenario
    own.mkdir(parents=True)
    shutil.copy(source, own)
    link = folder / "media"
    if not link.exists():
        link.symlink_to(media.absolute())
    return own


def _own_ports(calls: int) -> dict[str, int]:
    # SIPp ends when the first of its RTP ports is taken; the others it tries one after the other.
    media, _ = free_udp_ports(_RTP_PORTS_PER_CALL * calls + 2)
    return {"-p": free_port(), "-mp": media, "-cp": free_port()}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
