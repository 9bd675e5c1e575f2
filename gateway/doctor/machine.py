"""The machine: cores, memory, file descriptors, and whether 20 ms are 20 ms here."""

from __future__ import annotations

import asyncio
import ctypes
import resource
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.doctor.deployment import Deployment, plan_of
from gateway.doctor.finding import Finding, fail, ok, warn
from gateway.doctor.network import open_sockets
from gateway.telemetry.process import usable_cores

FILES_PER_CALL, FILES_PER_PROCESS = 12, 100
"""Measured: a warm worker has about 60 descriptors, a call opens 9 (RTP, RTCP, records, pipes)."""
CALLS_PER_CORE = 8
"""Talking calls with recognition here, measured with their callers on the same cores
(docs/scaling.md); what `workers.count = "auto"` makes room for."""
WORKER_MB, RECOGNIZER_MB, SUPERVISOR_MB = 310, 193, 160
"""Resident memory with four calls, measured; 96 of a worker's are the default voice's."""
_PTIME_S, _TICKS = 0.02, 50
_LATE_WARN_MS, _LATE_FAIL_MS = 5.0, 20.0
_STEAL_WARN = 0.03
_UNSYNCHRONIZED = 0x40  # STA_UNSYNC, adjtimex(2)


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What is known of processors and memory."""

    cores: float
    """As many as this process may use; a container's quota counts."""
    slots: int
    workers: int
    recognizers: int
    """Recognizer processes here; 0 = recognition is elsewhere."""
    available_mb: int = 1 << 20
    """Memory that is available, the container's limit included."""
    is_running: bool = False
    """The gateway has its memory already."""
    steal: float = 0.0
    """Share of the time that the hypervisor gave to others, 0..1."""
    throttled: int = 0
    """How often the container's quota stopped it since its start."""
    governors: frozenset[str] = frozenset()
    late_ms: tuple[float, ...] = ()
    """By how much a timer of 20 ms came late, each time."""
    is_clock_synchronized: bool | None = None
    """None: unknown (containers)."""


async def check_machine(deployment: Deployment) -> AsyncIterator[Finding]:
    """Watch the machine for a second."""
    for finding in judge_machine(await _facts(deployment)):
        yield finding
    yield judge_files(_file_limit(deployment), deployment.config.sip.max_calls)


def judge_machine(facts: MachineFacts) -> Iterator[Finding]:
    """Decide over processors, timers, memory and clock."""
    yield _judge_cores(facts)
    yield _judge_timers(facts)
    if facts.steal > _STEAL_WARN:
        yield warn(
            "CPU of the host",
            f"the hypervisor took {facts.steal:.0%} of the time away (steal)",
            "use a machine with dedicated cores: audio cannot wait",
        )
    if facts.throttled:
        yield warn(
            "CPU quota",
            f"the container was stopped {facts.throttled} times because its quota was used up",
            "raise the CPU limit, or set none and only a request",
        )
    if "powersave" in facts.governors:
        yield warn(
            "CPU frequency",
            "the governor is powersave: the first frames after silence come late",
            "cpupower frequency-set -g performance (or schedutil)",
        )
    yield _judge_memory(facts)
    yield _judge_clock(facts)


def judge_files(limit: int, max_calls: int) -> Finding:
    """Decide over the number of files that one process may open."""
    needed = FILES_PER_PROCESS + max_calls * FILES_PER_CALL
    if limit < needed:
        return fail(
            "file descriptors",
            f"a process may open {limit}, a worker with {max_calls} calls needs {needed}",
            "ulimit -n 4096; under systemd LimitNOFILE=4096",
        )
    if limit < 2 * needed:
        fix = "ulimit -n 4096; under systemd LimitNOFILE=4096"
        return warn("file descriptors", f"{limit} per process is just enough", fix)
    return ok("file descriptors", f"{limit} per process, {needed} are needed")


def _judge_cores(facts: MachineFacts) -> Finding:
    text = f"{facts.cores:g} cores for {facts.slots} calls"
    room = facts.cores * CALLS_PER_CORE
    if facts.recognizers and facts.slots > room:
        return warn(
            "cores",
            f"{text} with recognition here: enough for about {room:.0f}",
            "add cores, lower sip.max_calls or workers.count, or recognize on another machine",
        )
    return ok("cores", text)


def _judge_timers(facts: MachineFacts) -> Finding:
    name = "timers"
    late = sorted(facts.late_ms)
    if not late:
        return ok(name, "not measured")
    worst = late[max(0, round(len(late) * 0.95) - 1)]
    text = f"a wait of 20 ms ends {late[len(late) // 2]:.1f} ms late (p50), {worst:.1f} ms (p95)"
    fix = "something else uses these cores: stop it, or reserve cores for the gateway"
    if worst > _LATE_FAIL_MS:
        return fail(name, f"{text}: audio will stutter", fix)
    if worst > _LATE_WARN_MS:
        return warn(name, f"{text}: too much for smooth audio under load", fix)
    return ok(name, text)


def _judge_memory(facts: MachineFacts) -> Finding:
    needed = SUPERVISOR_MB + facts.workers * WORKER_MB
    needed += facts.recognizers * RECOGNIZER_MB
    if facts.is_running:
        return ok("memory", f"{facts.available_mb} MB more are available")
    text = f"{facts.available_mb} MB are available, about {needed} MB are needed"
    if facts.available_mb < needed:
        return fail("memory", text, "add memory (or raise the container's limit), or lower workers")
    return ok("memory", text)


def _judge_clock(facts: MachineFacts) -> Finding:
    if facts.is_clock_synchronized is False:
        return warn(
            "clock",
            "it is not synchronized: records and digest nonces carry wrong times",
            "apt-get install systemd-timesyncd (or chrony)",
        )
    known = facts.is_clock_synchronized
    return ok("clock", "synchronized" if known else "cannot be told from inside this container")


async def _facts(deployment: Deployment) -> MachineFacts:
    config = deployment.config
    plan = plan_of(config)
    before = _cpu_times()
    late_ms = await _lateness_ms()
    return MachineFacts(
        cores=_cores(),
        slots=plan.slots,
        workers=plan.workers,
        recognizers=plan.recognizers,
        available_mb=_available_mb(),
        is_running=deployment.is_running,
        steal=steal_between(before, _cpu_times()),
        throttled=_throttled(),
        governors=_governors(),
        late_ms=tuple(late_ms),
        is_clock_synchronized=_is_clock_synchronized(),
    )


async def _lateness_ms() -> list[float]:
    """Wait 50 times for 20 ms."""
    loop = asyncio.get_running_loop()
    late = []
    for _ in range(_TICKS):
        due_s = loop.time() + _PTIME_S
        await asyncio.sleep(_PTIME_S)
        late.append((loop.time() - due_s) * 1000)
    return late


def _cpu_times() -> list[int]:
    """Ticks of user, nice, system, idle, iowait, irq, softirq, steal ... (proc(5), stat)."""
    return [int(n) for n in Path("/proc/stat").read_text().partition("\n")[0].split()[1:]]


def steal_between(before: Sequence[int], after: Sequence[int]) -> float:
    """Share of steal, 0..1.  Pure."""
    spent = [b - a for a, b in zip(before, after, strict=True)][:8]
    return spent[7] / sum(spent) if len(spent) == 8 and sum(spent) > 0 else 0.0


def _cores() -> float:
    cores = float(usable_cores())
    with suppress(OSError, ValueError):
        quota, _, period = Path("/sys/fs/cgroup/cpu.max").read_text().partition(" ")
        if quota != "max":
            cores = min(cores, int(quota) / int(period))
    return cores


def _available_mb() -> int:
    text = Path("/proc/meminfo").read_text()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    available = int(fields["MemAvailable"].split()[0]) // 1024
    with suppress(OSError, ValueError):  # "max", or no cgroup
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        available = min(available, (limit - used) >> 20)
    return available


def _throttled() -> int:
    with suppress(OSError, ValueError):
        lines = Path("/sys/fs/cgroup/cpu.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines).get("nr_throttled", 0))
    return 0


def _governors() -> frozenset[str]:
    found = set()
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"):
        with suppress(OSError):
            found.add(path.read_text().strip())
    return frozenset(found)


def _is_clock_synchronized() -> bool | None:
    """Ask the kernel (adjtimex, reading only); None where it does not tell."""
    time_state = (ctypes.c_byte * 512)()  # struct timex: modes = 0 first, status at byte 40
    if ctypes.CDLL(None).adjtimex(ctypes.byref(time_state)) < 0:
        return None
    status = int.from_bytes(bytes(time_state[40:44]), "little")
    return not status & _UNSYNCHRONIZED


def _file_limit(deployment: Deployment) -> int:
    """The limit of the running gateway where it can be seen, else our own."""
    if deployment.is_running:
        port = deployment.config.http.port
        inodes = {s.inode for s in open_sockets("tcp") if s.port == port}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                targets = {str(entry.readlink()) for entry in (folder / "fd").iterdir()}
                if any(f"socket:[{inode}]" in targets for inode in inodes):
                    return parse_file_limit((folder / "limits").read_text())
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def parse_file_limit(text: str) -> int:
    """Read the soft limit of open files out of /proc/PID/limits.  Pure."""
    line = next(line for line in text.splitlines() if line.startswith("Max open files"))
    soft = line.split()[3]
    return 1 << 20 if soft == "unlimited" else int(soft)
