"""Figures of a benchmark: percentiles, a table on the terminal, a JSON file in `results/`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
Row = tuple[str, str]


def percentiles(values: Sequence[float], *wanted: float) -> dict[str, float]:
    """`{"n": ..., "p50": ..., "max": ...}` of a sample; only n when it is empty."""
    found: dict[str, float] = {"n": len(values)}
    if len(values):
        found |= {f"p{q:g}": round(float(np.percentile(values, q)), 2) for q in wanted}
        found["max"] = round(float(np.max(values)), 2)
    return found


def spread(values: Sequence[float], *wanted: float, unit: str = "ms") -> str:
    """The same as one line for a table."""
    found = percentiles(values, *wanted)
    count = int(found.pop("n"))
    if not found:
        return "nothing measured"
    parts = "  ".join(f"{name} {value:g}" for name, value in found.items())
    return f"{parts}  {unit}  (n = {count})"


def machine() -> dict[str, object]:
    """What was measured on, when, and how busy it was."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def publish(name: str, title: str, rows: Sequence[Row], figures: Mapping[str, object]) -> None:
    """Print the table and write `results/<name>.json`."""
    about = machine()
    width = max(len(label) for label, _ in rows)
    print(f"\n{title}")
    for label, value in rows:
        print(f"  {label:{width}}  {value}")
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"  {about['cpu']}, {about['cores']} cores, {about['date']}, load average {load}\n")
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"benchmark": name, "machine": about, **figures}, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def progress(text: str) -> None:
    """Say what is going on."""
    print(f"  ... {text}", flush=True)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()
