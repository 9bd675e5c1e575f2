"""The table of the numbers to reach: target and measured, from the rows of one or more runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.turns.judge import agreement
from benchmarks.turns.store import Row, Store

STAGES = (
    "endpointing",
    "stt_final",
    "llm_first_token",
    "llm_first_sentence",
    "tts_first_audio",
    "playout_start",
)
Line = tuple[str, str, str]
"""What, target, measured."""


def text(stores: Sequence[Store]) -> str:
    """One column of measured values for each store."""
    tables = [_by_place(lines(store)) for store in stores]
    places = list(dict.fromkeys(place for table in tables for place in table))
    if not places:
        return "nothing measured"
    rows = [("", "target", *(store.label for store in stores))]
    for place in places:
        known = [table[place] for table in tables if place in table]
        cells = (table[place][2] if place in table else "" for table in tables)
        rows.append((known[0][0], known[0][1], *cells))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _by_place(found: Sequence[Line]) -> dict[tuple[str, str], Line]:
    """Lines by the heading above them and their own name."""
    places: dict[tuple[str, str], Line] = {}
    heading = ""
    for line in found:
        heading = heading if line[0].startswith(" ") else line[0]
        places[heading, line[0]] = line
    return places


def lines(store: Store) -> list[Line]:
    """All that can be said about one run."""
    return [
        *_answers("orders, offline script", store.rows("gap"), "450 / 900", "<= 6 %", "<= 1 %"),
        *_answers("orders, LLM double", store.rows("llm"), "650 / 1000", "<= 6 %", "<= 1 %"),
        *_shares(store.rows("llm")),
        *_cloud(store.rows("cloud")),
        *_slots(store.rows("slots")),
        *_interruptions(store.rows("barge_in"), "barge-in"),
        *_interruptions(store.rows("words"), "first words:"),
        *_held(store.rows("noise")),
        *_echoes(store.rows("echo")),
        *_answers("orders, 3 % loss, 30 ms jitter", store.rows("gap_loss"), "", "", ""),
        *_interruptions(store.rows("barge_in_loss"), "barge-in over"),
        *_four(store.rows("four")),
    ]


def percent(part: int, whole: int) -> str:
    """Such as `5.0 %  (5 of 100)`."""
    return f"{100 * part / whole:.1f} %  ({part} of {whole})" if whole else "-"


def spread(values: Sequence[float], *wanted: float) -> str:
    """Such as `p50 431  p90 902 ms  (n 100)`."""
    if not len(values):
        return "-"
    parts = "  ".join(f"p{q:g} {np.percentile(values, q):.0f}" for q in wanted)
    return f"{parts} ms  (n {len(values)})"


def _some(rows: Sequence[Row], key: str) -> list[float]:
    return [row[key] for row in rows if row[key] is not None]


def _count(rows: Sequence[Row], is_so: Callable[[Row], bool]) -> int:
    return sum(map(bool, map(is_so, rows)))


def _answers(name: str, rows: Sequence[Row], gap: str, starts: str, cuts: str) -> list[Line]:
    if not rows:
        return []
    total = len(rows)
    apart = agreement([r["gap_ms"] for r in rows], [r["gateway_gap_ms"] for r in rows])
    early = [row for row in rows if row["early"]]
    return [
        (f"{name}: response gap", gap, spread(_some(rows, "gap_ms"), 50, 90, 95)),
        ("  as call.json says", "", spread(_some(rows, "gateway_gap_ms"), 50, 90)),
        ("  outside minus inside", "20 ms", spread(apart, 5, 50, 95)),
        ("  false starts", starts, percent(_fates(rows, "false_start"), total)),
        ("  cut-offs", cuts, percent(_fates(rows, "cut_off"), total)),
        ("  unanswered", "", percent(_fates(rows, "unanswered"), total)),
        ("  taken back (call.json)", "", percent(_count(rows, lambda row: row["reopened"]), total)),
        ("  stages p50 (call.json)", "", _stages(rows)),
        ("  slowest stage (call.json)", "", _slowest(rows)),
        ("  both talk, per false start", "", spread(_some(early, "overlap_ms"), 50, 95)),
        ("  yield after the caller went on", "", spread(_some(early, "early_stop_ms"), 50, 95)),
    ]


def _fates(rows: Sequence[Row], fate: str) -> int:
    return _count(rows, lambda row: row["fate"] == fate)


def _stages(rows: Sequence[Row]) -> str:
    """Medians of the parts of the gap."""
    parts = {name: _some(rows, f"{name}_ms") for name in STAGES}
    found = (f"{name} {np.median(values):.0f}" for name, values in parts.items() if values)
    return "  ".join(found) or "-"


def _slowest(rows: Sequence[Row]) -> str:
    counts = Counter(_some(rows, "slowest_stage"))
    return "  ".join(f"{name} {count}" for name, count in counts.most_common(3)) or "-"


def _shares(rows: Sequence[Row]) -> list[Line]:
    shares = _some(rows, "share_ms") if rows else []
    return [("  gateway share (call.json)", "350", spread(shares, 50, 90))] if rows else []


def _cloud(rows: Sequence[Row]) -> list[Line]:
    found: list[Line] = []
    for by in dict.fromkeys(row["variant"] for row in rows):
        mine = [row for row in rows if row["variant"] == by]
        found += _answers(f'cloud engines, turn.by = "{by}"', mine, "650 / 800", "<= 6 %", "<= 1 %")
    return found


def _slots(rows: Sequence[Row]) -> list[Line]:
    found: list[Line] = []
    for kind, name, gap, cuts in (
        ("yes_no", "after a yes/no question", "350", ""),
        ("menu", "after a menu question", "350", ""),
        ("phone", "telephone numbers, pauses to 1.2 s", "", "<= 3 %"),
        ("name", "spelled names, pauses to 1.2 s", "", "<= 3 %"),
    ):
        mine = [row for row in rows if row["variant"] == kind]
        found += [
            line
            for line in _answers(name, mine, gap, "", cuts)
            if not line[0].startswith("  both") and not line[0].startswith("  yield")
        ]
    return found


def _interruptions(rows: Sequence[Row], name: str) -> list[Line]:
    found: list[Line] = []
    targets = {"clean": "100 / p95 200", "10 dB": "p95 280", "words": "60 / p95 130 / 200"}
    for variant in dict.fromkeys(row["variant"] for row in rows):
        mine = [row for row in rows if row["variant"] == variant]
        apart = agreement([r["final_stop_ms"] for r in mine], [r["gateway_stop_ms"] for r in mine])
        silent = _count(mine, lambda row: row["stop_ms"] is None)
        found += [
            (
                f"{name} {variant}: silence after onset",
                targets.get(variant, ""),
                spread(_some(mine, "stop_ms"), 50, 95),
            ),
            ("  silence for good", "", spread(_some(mine, "final_stop_ms"), 50, 90, 95, 100)),
            ("  outside minus inside", "20 ms", spread(apart, 5, 50, 95)),
            ("  missed", "<= 2 %", percent(_count(mine, _is_missed), len(mine))),
            ("  kept its reply (call.json)", "", percent(_count(mine, _kept), len(mine))),
            ("  silent before the onset", "", percent(silent, len(mine))),
            ("  both talk", "", spread(_some(mine, "overlap_ms"), 50, 95)),
        ]
    return found


def _is_missed(row: Row) -> bool:
    return bool(row["missed"])


def _kept(row: Row) -> bool:
    return bool(row["kept"])


def _held(rows: Sequence[Row]) -> list[Line]:
    found: list[Line] = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        if variant != "quiet":
            found += _pauses(
                variant, [row for row in rows if row["variant"] == variant], 10, "<= 1"
            )
    return found


def _echoes(rows: Sequence[Row]) -> list[Line]:
    mine = [row for row in rows if row["variant"] == "echo"]
    return _pauses("echo", mine, 1, "<= 0.3") if mine else []


def _pauses(name: str, rows: Sequence[Row], minutes: float, target: str) -> list[Line]:
    spoken_min = sum(row["bot_speech_s"] for row in rows) / 60
    lost = _count(rows, lambda row: row["lost"])
    said = sum(row["words"] for row in rows)
    cuts = [seam for row in rows for seam in row["seams"]]
    clicks = sum(step > own for *_, step, own in cuts)
    ratios = [step / max(own, 1) for *_, step, own in cuts]
    worst = f", worst {max(ratios):.2f} of its own step" if ratios else ""
    per = max(spoken_min, 1e-9)
    unit = f"{minutes:g} min" if minutes != 1 else "min"
    return [
        (
            f"{name}: replies lost per {unit}",
            target,
            f"{lost * minutes / per:.2f}  ({lost} in {spoken_min:.1f} min of bot speech)",
        ),
        *([("  replies lost per word", "", percent(lost, said))] if said else []),
        ("  pauses per minute", "", f"{len(cuts) / per:.1f}  ({len(cuts)})"),
        ("  silence per pause", "", spread([seam[1] for seam in cuts], 50, 95)),
        ("  clicks at seams", "0", f"{clicks} of {len(cuts)}{worst}"),
        ("  heard twice per pause", "", spread([seam[2] for seam in cuts], 50, 95)),
        ("  never heard per pause", "0", spread([seam[3] for seam in cuts], 50, 95)),
    ]


def _four(rows: Sequence[Row]) -> list[Line]:
    medians = {}
    for variant in ("one", "four"):
        gaps = _some([row for row in rows if row["variant"] == variant], "gap_ms")
        if not gaps:
            return []
        medians[variant] = float(np.median(gaps))
    growth = 100 * (medians["four"] / medians["one"] - 1)
    line = f"{growth:+.0f} %  ({medians['one']:.0f} -> {medians['four']:.0f} ms, {len(rows)} turns)"
    return [("four calls at once: growth of p50", "<= 25 %", line)]
