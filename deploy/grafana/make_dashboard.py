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


def stage(metric: str, title: str) -> tuple[str, str]:
    """The p90 of one stage of an answer."""
    return quantiles(metric, 0.9)[0][0], title


def rate(metric: str, by: str) -> tuple[tuple[str, str], ...]:
    """Events per second by a label."""
    expr = f"sum by ({by}) (rate({metric}{{{PICK}}}[$__rate_interval]))"
    return ((expr, f"{{{{{by}}}}}"),)


ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        Panel("Slots used", "percentunit", ((f"sum(gateway_call_slots_used{{{PICK}}}) / sum(gateway_call_slots{{{PICK}}})", ""),), 4, "gauge", limit=0.85),
        Panel("Calls in progress", "none", ((f"sum(gateway_call_slots_used{{{PICK}}})", ""),), 4, "stat"),
        Panel("Answer after (p90)", "s", quantiles("gateway_response_gap_seconds", 0.9), 4, "stat", limit=1.5),
        Panel("Trunks not registered", "none", (("count(max by (instance, trunk) (gateway_trunk_registered{" + PICK + "}) == 0) or vector(0)", ""),), 4, "stat", limit=1),
        Panel("Worker restarts, last hour", "none", ((f"sum(increase(gateway_worker_restarts_total{{{PICK}}}[1h])) or vector(0)", ""),), 4, "stat", limit=1),
        Panel("Frame gap (p99)", "s", quantiles("gateway_outbound_frame_gap_seconds", 0.99), 4, "stat", "20 ms is right.", limit=0.03),
    ),
    "What callers notice": (
        Panel("Answer after", "s", quantiles("gateway_response_gap_seconds", 0.5, 0.9, 0.95), help="Caller's last speech to the bot's first."),
        Panel("Where the time goes (p90)", "s", (
            stage("gateway_endpointing_seconds", "deciding that the turn is over"),
            stage("gateway_stt_final_seconds", "recognition"),
            stage("gateway_llm_first_token_seconds", "first token"),
            stage("gateway_llm_first_sentence_seconds", "first sentence"),
            stage("gateway_tts_first_audio_seconds", "first audio"),
            stage("gateway_playout_start_seconds", "hand-over to RTP"),
        ), help="Stages overlap: they do not add up."),
        Panel("Bot silent after an interruption", "s", quantiles("gateway_barge_in_stop_seconds", 0.5, 0.9, 0.95)),
        Panel("Interruptions", "ops", rate("gateway_barge_in_total", "cause")),
        Panel("Turns", "ops", rate("gateway_turns_total", "outcome")),
        Panel("Taken back, breaths held, fillers", "ops", (
            (f"sum(rate(gateway_false_starts_total{{{PICK}}}[$__rate_interval]))", "answers taken back"),
            (f"sum(rate(gateway_held_breaths_total{{{PICK}}}[$__rate_interval]))", "breaths held"),
            (f"sum(rate(gateway_fillers_total{{{PICK}}}[$__rate_interval]))", "fillers"),
            (f"sum(rate(gateway_watchdog_total{{{PICK}}}[$__rate_interval]))", "dead lines"),
        )),
    ),
    "Calls": (
        Panel("Slots used by gateway", "percentunit", ((f"sum by (instance) (gateway_call_slots_used{{{PICK}}}) / sum by (instance) (gateway_call_slots{{{PICK}}})", "{{instance}}"),), limit=0.85),
        Panel("Calls ended, by reason", "ops", rate("gateway_calls_total", "end_reason")),
        Panel("Calls refused, by rule", "ops", rate("gateway_refused_total", "rule")),
        Panel("Length of calls", "s", quantiles("gateway_call_duration_seconds", 0.5, 0.9)),
        Panel("Trunks registered", "none", (("max by (instance, trunk) (gateway_trunk_registered{" + PICK + "})", "{{trunk}} at {{instance}}"),)),
        Panel("Records not written", "ops", ((f"sum by (instance) (rate(gateway_records_errors_total{{{PICK}}}[$__rate_interval]))", "{{instance}}"),), limit=0.001),
    ),
    "Engines": (
        Panel("Failures", "ops", ((f"sum by (provider, kind) (rate(gateway_provider_errors_total{{{PICK}}}[$__rate_interval]))", "{{provider}} {{kind}}"),), limit=0.05),
        Panel("Function tools", "ops", ((f"sum by (tool, outcome) (rate(gateway_tool_calls_total{{{PICK}}}[$__rate_interval]))", "{{tool}} {{outcome}}"),)),
        Panel("Tokens", "ops", (
            *rate("gateway_llm_tokens_total", "direction"),
            (f"sum(rate(gateway_llm_tokens_wasted_total{{{PICK}}}[$__rate_interval]))", "wasted"),
        )),
    ),
    "Machine": (
        Panel("Frame gap", "s", quantiles("gateway_outbound_frame_gap_seconds", 0.5, 0.99), limit=0.03),
        Panel("Media callback", "s", quantiles("gateway_media_callback_seconds", 0.5, 0.99)),
        Panel("Caller frames lost", "ops", ((f"sum by (instance, process) (rate(gateway_inlet_dropped_frames_total{{{PICK}}}[$__rate_interval]))", "{{instance}} {{process}}"),), limit=0.2),
        Panel("CPU per process", "percentunit", ((f"rate(gateway_cpu_seconds{{{PICK}}}[$__rate_interval])", "{{instance}} {{process}}"),)),
        Panel("Memory per process", "bytes", ((f"gateway_rss_bytes{{{PICK}}}", "{{instance}} {{process}}"),)),
        Panel("Files, sockets, tasks, dialogs", "none", (
            (f"sum(gateway_open_files{{{PICK}}})", "files"),
            (f"sum(gateway_open_sockets{{{PICK}}})", "sockets"),
            (f"sum(gateway_asyncio_tasks{{{PICK}}})", "tasks"),
            (f"sum(gateway_threads{{{PICK}}})", "threads"),
            (f"sum(gateway_sip_dialogs{{{PICK}}})", "SIP dialogs"),
        )),
    ),
}  # fmt: skip


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
