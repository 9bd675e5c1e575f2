"""What a process uses and what this machine has, from /proc (Linux)."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """One look at a process."""

    open_files: int
    """File descriptors of any kind."""
    open_sockets: int
    threads: int
    rss_bytes: int
    cpu_s: float
    """User and system time since its start."""


def read_usage(pid: int | None = None) -> ProcessUsage:
    """Look at a process, by default this one.

    Raises:
        OSError: no such process, or not ours to look at.
    """
    folder = Path("/proc") / ("self" if pid is None else str(pid))
    targets = _descriptor_targets(folder / "fd")
    fields = _stat_fields(folder)
    return ProcessUsage(
        open_files=len(targets),
        open_sockets=sum(target.startswith("socket:") for target in targets),
        threads=int(fields[17]),
        rss_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        cpu_s=(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
    )


def has_free_files(count: int) -> bool:
    """Return whether this process may open `count` more files and sockets; takes some 20 us."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return True
    try:
        with os.scandir("/proc/self/fd") as entries:  # a limit is one of their numbers
            return sum(int(entry.name) < limit for entry in entries) + count <= limit
    except OSError:  # looking takes one, too
        return False


def read_memory(pid: int) -> int:
    """Return a process's memory in bytes; a page that several share counts in parts (PSS).

    Takes a few milliseconds.

    Raises:
        OSError: no such process, or not ours to look at.
    """
    for line in (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that no other can be taken for: ids are given again, after a reboot at once."""

    pid: int
    boot_id: str
    started_ticks: int
    """When it was started, in clock ticks since boot."""


def boot_id() -> str:
    """Name this run of the kernel.  Raises OSError."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identify(pid: int | None = None) -> ProcessIdentity:
    """Identify a process, by default this one.

    Raises:
        OSError: no such process.
    """
    own = os.getpid() if pid is None else pid
    return ProcessIdentity(own, boot_id(), int(_stat_fields(Path("/proc") / str(own))[19]))


def is_still_alive(process: ProcessIdentity) -> bool:
    """Return whether that same process runs."""
    try:
        return is_process_alive(process.pid) and identify(process.pid) == process
    except OSError:
        return False


def is_process_alive(pid: int) -> bool:
    """Return whether a process runs; one that ended but was not waited for does not."""
    try:
        return _stat_fields(Path("/proc") / str(pid))[0] not in ("Z", "X")
    except OSError:
        return False


def _descriptor_targets(folder: Path) -> list[str]:
    targets = []
    for entry in folder.iterdir():
        try:
            targets.append(str(entry.readlink()))
        except OSError:  # closed since, as the one that lists this folder
            continue
    return targets


def _stat_fields(folder: Path) -> list[str]:
    """Return the fields of proc(5) `stat` from the third (state) on; the name may hold spaces."""
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()


_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def usable_memory_bytes() -> int:
    """Return the memory that this process may use, other processes not counted."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdecimal() else machine
