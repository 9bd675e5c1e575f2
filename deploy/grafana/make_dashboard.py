"""Writes the Grafana dashboard: `python deploy/grafana/make_dashboard.py` (a test compares).

One line per panel; a panel's queries are `(PromQL, legend)`.  `$gateway` is the chosen instances.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).parent / "dashboards" / "gateway.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
PICK = 'instance=~"$gateway"'
COLUMNS, HEIGHT = 24, 8


@dataclass(frozen=True)
class Panel:
    """One picture."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    width: int = 8
    kind: str = "timeseries"
    help: str = ""
    limit: float | None = None
    """Red from here on."""


def quantiles(metric: str, *shares: float) -> tuple[tuple[str, str], ...]:
    """Quantiles of a histogram over all chosen gateways."""
    rate = f"sum by (le) (rate({metric}_bucket{{{PICK}}}[$__rate_interval]))"
    return tuple((f"histogram_quantile({q}, {rate})", f"p{q * 100:g}") for q in shares)


def p90(metric: str, title: str) -> tuple[str, str]:
    """One stage of an answer."""
    return quantiles(metric, 0.9)[0][0], title


def rates(metric: str, *labels: str) -> tuple[str, str]:
    """Events per second by labels."""
    expr = f"sum by ({', '.join(labels)}) (rate({metric}{{{PICK}}}[$__rate_interval]))"
    return expr, " ".join(f"{{{{{label}}}}}" for label in labels)


def rate(metric: str, title: str) -> tuple[str, str]:
    """Events per second of all chosen gateways together."""
    return f"sum(rate({metric}{{{PICK}}}[$__rate_interval]))", title


def total(metric: str, title: str = "") -> tuple[str, str]:
    """A gauge of all chosen gateways together."""
    return f"sum({metric}{{{PICK}}})", title


def number(title: str, unit: str, query: tuple[str, str], limit: float | None = None) -> Panel:
    """One number, large."""
    return Panel(title, unit, (query,), 4, "stat", limit=limit)


SLOTS, USED = f"gateway_call_slots{{{PICK}}}", f"gateway_call_slots_used{{{PICK}}}"
TRUNKS = f"max by (instance, trunk) (gateway_trunk_registered{{{PICK}}})"
RESTARTS = f"sum(increase(gateway_worker_restarts_total{{{PICK}}}[1h])) or vector(0)"
GAP, CUT = "gateway_response_gap_seconds", "gateway_barge_in_stop_seconds"
FRAMES = "gateway_outbound_frame_gap_seconds"

ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        Panel(
            "Slots used",
            "percentunit",
            ((f"sum({USED}) / sum({SLOTS})", ""),),
            4,
            "gauge",
            limit=0.85,
        ),
        number("Calls in progress", "none", total("gateway_call_slots_used")),
        number("Answer after (p90)", "s", p90(GAP, ""), 1.5),
        number("Trunks not registered", "none", (f"count({TRUNKS} == 0) or vector(0)", ""), 1),
        number("Worker restarts, last hour", "none", (RESTARTS, ""), 1),
        number("Frame gap (p99, 20 ms is right)", "s", quantiles(FRAMES, 0.99)[0], 0.03),
    ),
    "What callers notice": (
        Panel(
            "Answer after",
            "s",
            quantiles(GAP, 0.5, 0.9, 0.95),
            help="Caller's last speech to the bot's first.",
        ),
        Panel(
            "Where the time goes (p90)",
            "s",
            (
                p90("gateway_endpointing_seconds", "deciding that the turn is over"),
                p90("gateway_stt_final_seconds", "recognition"),
                p90("gateway_llm_first_token_seconds", "first token"),
                p90("gateway_llm_first_sentence_seconds", "first sentence"),
                p90("gateway_tts_first_audio_seconds", "first audio"),
                p90("gateway_playout_start_seconds", "hand-over to RTP"),
            ),
            help="Stages overlap: they do not add up.",
        ),
        Panel("Bot silent after an interruption", "s", quantiles(CUT, 0.5, 0.9, 0.95)),
        Panel("Interruptions", "ops", (rates("gateway_barge_in_total", "cause"),)),
        Panel("Turns", "ops", (rates("gateway_turns_total", "outcome"),)),
        Panel(
            "Taken back, false interruptions, fillers",
            "ops",
            (
                rate("gateway_false_starts_total", "answers taken back"),
                rate("gateway_false_interruptions_total", "false interruptions"),
                rate("gateway_fillers_total", "fillers"),
                rate("gateway_watchdog_total", "dead lines"),
            ),
        ),
    ),
    "Calls": (
        Panel(
            "Slots used by gateway",
            "percentunit",
            ((f"sum by (instance) ({USED}) / sum by (instance) ({SLOTS})", "{{instance}}"),),
            limit=0.85,
        ),
        Panel("Calls ended, by reason", "ops", (rates("gateway_calls_total", "end_reason"),)),
        Panel("Calls refused, by rule", "ops", (rates("gateway_refused_total", "rule"),)),
        Panel("Length of calls", "s", quantiles("gateway_call_duration_seconds", 0.5, 0.9)),
        Panel("Trunks registered", "none", ((TRUNKS, "{{trunk}} at {{instance}}"),)),
        Panel(
            "Records not written",
            "ops",
            (rates("gateway_records_errors_total", "instance"),),
            limit=0.001,
        ),
    ),
    "Engines": (
        Panel(
            "Failures",
            "ops",
            (rates("gateway_provider_errors_total", "provider", "kind"),),
            limit=0.05,
        ),
        Panel("Function tools", "ops", (rates("gateway_tool_calls_total", "tool", "outcome"),)),
        Panel(
            "Tokens",
            "ops",
            (
                rates("gateway_llm_tokens_total", "direction"),
                rate("gateway_llm_tokens_wasted_total", "wasted"),
            ),
        ),
    ),
    "Machine": (
        Panel(
            "Workers, by state",
            "none",
            ((f"sum by (state) (gateway_workers{{{PICK}}})", "{{state}}"),),
        ),
        Panel("Frame gap", "s", quantiles(FRAMES, 0.5, 0.99), limit=0.03),
        Panel(
            "Caller frames lost",
            "ops",
            (rates("gateway_inlet_dropped_frames_total", "instance", "process"),),
            limit=0.2,
        ),
        Panel(
            "CPU per process", "percentunit", (rates("gateway_cpu_seconds", "instance", "process"),)
        ),
        Panel(
            "Memory per process",
            "bytes",
            ((f"gateway_rss_bytes{{{PICK}}}", "{{instance}} {{process}}"),),
        ),
        Panel(
            "Files, sockets, tasks, dialogs",
            "none",
            (
                total("gateway_open_files", "files"),
                total("gateway_open_sockets", "sockets"),
                total("gateway_asyncio_tasks", "tasks"),
                total("gateway_threads", "threads"),
                total("gateway_sip_dialogs", "SIP dialogs"),
            ),
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """The whole dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        place = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
        panels.append({"type": "row", "title": title, "gridPos": place, "panels": []})
        top += 1
        left = 0
        for item in row:
            if left + item.width > COLUMNS:
                left, top = 0, top + HEIGHT
            place = {"h": HEIGHT, "w": item.width, "x": left, "y": top}
            panels.append(_panel(item) | {"gridPos": place})
            left += item.width
        top += HEIGHT
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return {
        "uid": "voice-gateway",
        "title": "Voice gateway",
        "tags": ["voice-gateway"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "15s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_variable()]},
        "panels": panels,
    }


def _panel(item: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if item.limit is not None:
        steps.append({"color": "red", "value": item.limit})
    targets = [
        {"refId": chr(65 + n), "expr": expr, "legendFormat": legend, "datasource": SOURCE}
        for n, (expr, legend) in enumerate(item.queries)
    ]
    defaults: dict[str, Any] = {
        "unit": item.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if item.kind == "timeseries" and item.limit is not None:
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "type": item.kind,
        "title": item.title,
        "description": item.help,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
    }


def _variable() -> dict[str, Any]:
    query = "label_values(gateway_call_slots, instance)"
    return {
        "name": "gateway",
        "label": "Gateway",
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "gateway"},
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


def text() -> str:
    """The file as it is kept."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(text(), encoding="utf-8")
