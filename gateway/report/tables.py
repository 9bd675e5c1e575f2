"""A report as text, CSV or JSON.  Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict

from gateway.report.figures import Report, Row
from gateway.report.intervals import Difference, Estimate

_TITLES = {
    "gap_p50_ms": "gap p50 ms",
    "gap_p90_ms": "gap p90 ms",
    "interruptions": "interrupted",
    "failures": "failed",
    "switches": "switches",
    "tokens": "tokens",
    "cost": "cost",
}


def text_of(report: Report) -> str:
    """Return a table, a figure with its interval in each cell, and what differs."""
    names = _names(report.rows)
    head = ("variant", "calls", *(_TITLES.get(name, name) for name in names))
    cells = [
        (row.variant, str(row.calls), *(_cell(name, row.figures.get(name)) for name in names))
        for row in report.rows
    ]
    lines = _aligned([head, *cells])
    if report.differences:
        lines += ["", f"{report.compared[1]} minus {report.compared[0]}:"]
        rows = [
            (f"  {_TITLES.get(name, name)}", _shown(name, found), _verdict(found))
            for name, found in report.differences.items()
        ]
        lines += _aligned(rows)
    return "\n".join(lines) + "\n"


def csv_of(report: Report) -> str:
    """Return one line per variant; `_low` and `_high` are the ends of the 95 % interval."""
    names = _names(report.rows)
    columns = [f"{_key(name)}{end}" for name in names for end in ("", "_low", "_high")]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["variant", "calls", *columns])
    for row in report.rows:
        values: list[object] = [row.variant, row.calls]
        for name in names:
            found = row.figures.get(name)
            values += ["", "", ""] if found is None else [*map(_rounded, asdict(found).values())]
        table.writerow(values)
    return out.getvalue()


def json_of(report: Report) -> str:
    """Return all of it."""
    rows = [
        {
            "variant": row.variant,
            "calls": row.calls,
            **{
                _key(name): None if found is None else _numbers(found)
                for name, found in row.figures.items()
            },
        }
        for row in report.rows
    ]
    differences = {
        _key(name): {**_numbers(found), "is_sure": found.is_sure}
        for name, found in report.differences.items()
    }
    whole = {"variants": rows, "compared": list(report.compared), "differences": differences}
    return json.dumps(whole, indent=2) + "\n"


def _names(rows: Sequence[Row]) -> list[str]:
    found = dict.fromkeys(name for row in rows for name in row.figures)
    return [*_TITLES, *(name for name in found if name not in _TITLES)]


def _key(name: str) -> str:
    return name.replace(" ", "_")


def _numbers(found: Estimate | Difference) -> dict[str, float]:
    return {key: _rounded(value) for key, value in asdict(found).items()}


def _rounded(value: float) -> float:
    return round(value, 6)


def _cell(name: str, found: Estimate | None) -> str:
    return "-" if found is None else _shown(name, found)


def _shown(name: str, found: Estimate | Difference) -> str:
    value, low, high = (_number(name, each) for each in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def _number(name: str, value: float) -> str:
    if name in {"interruptions", "failures"} or name.startswith("outcome "):
        return f"{value * 100:.1f}%"
    if name.startswith("gap") or name == "tokens":
        return f"{value:.0f}"
    return f"{value:.2f}" if name == "switches" else f"{value:.4f}"


def _verdict(found: Difference) -> str:
    return "differs" if found.is_sure else "not decided"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
