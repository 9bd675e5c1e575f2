"""CPU and memory of a gateway's processes on this machine, from /proc (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.telemetry.process import read_usage

_PROC = Path("/proc")
_LISTENING = "0A"  # proc(5), net/tcp


@dataclass(frozen=True, slots=True)
class Usage:
    """One look at one process."""

    kind: str
    """worker, recognizer, kamailio, ...: what its command line says."""
    cpu_s: float
    memory_bytes: int
    """PSS: pages that several share are divided among them; RSS where that may not be read."""
    figures: Mapping[str, float]
    """Names as in `leaks.COUNTED` and `leaks.MEMORY`."""


def family(pid: int) -> list[int]:
    """Return a process and all that it started, directly or not, which still run."""
    found, open_ = [], [pid]
    while open_:
        one = open_.pop()
        if (_PROC / str(one)).exists():
            found.append(one)
        for task in _entries(_PROC / str(one) / "task"):
            open_ += map(int, _text(task / "children").split())
    return found


def usages(pids: Iterable[int]) -> dict[int, Usage]:
    """Read the usage of processes, without those that are gone or not readable."""
    found = {}
    for pid in pids:
        try:
            usage = read_usage(pid)
            memory = _pss_bytes(pid) or usage.rss_bytes
        except OSError:
            continue
        figures = {
            "rss_bytes": float(usage.rss_bytes),
            "threads": float(usage.threads),
            "open_sockets": float(usage.open_sockets),
            "open_files": float(usage.open_files),
        }
        found[pid] = Usage(kind_of(_command(pid)), usage.cpu_s, memory, figures)
    return found


def machine_cpu_s() -> float:
    """Return the CPU seconds that this machine has worked since it was started, all cores."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, _text(_PROC / "stat").split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def kind_of(command: list[str]) -> str:
    """Name a process by its command line.  Pure."""
    words = [word for word in command if word]
    if "gateway.recognizer" in words:
        return "recognizer"
    for known in ("worker", "run"):
        if known in words:
            return {"run": "supervisor"}.get(known, known)
    return Path(words[0]).name if words else "process"


def pid_listening(port: int) -> int | None:
    """Find the process that listens on a TCP port of this machine, where we may know it."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in _text(_PROC / "net" / table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for folder in _entries(_PROC):
        if folder.name.isdecimal() and inodes & set(_links(folder / "fd")):
            return int(folder.name)
    return None


def _links(folder: Path) -> list[str]:
    found = []
    for entry in _entries(folder):
        try:
            found.append(str(entry.readlink()))
        except OSError:
            continue
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _command(pid: int) -> list[str]:
    return _text(_PROC / str(pid) / "cmdline").split("\0")


def _pss_bytes(pid: int) -> int:
    for line in _text(_PROC / str(pid) / "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
