"""Dashboard, rules and alerts against the metrics that really exist."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
import yaml

from gateway.telemetry.metrics import Metrics

DEPLOY = Path(__file__).parents[3] / "deploy"
_NAME = re.compile(r"\bgateway_[a-z0-9_]+")
_LABELS = re.compile(r"(gateway_[a-z0-9_]+)\{([^}]*)\}")
_BY = re.compile(r"\bby \(([^)]*)\)")
ADDED = {"instance", "job", "process", "le"}
"""By Prometheus, by the merging of processes, by histograms."""


def known() -> dict[str, set[str]]:
    """Name of every sample -> its labels."""
    names: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        labels = set(getattr(metric, "_labelnames", ()))
        for family in metric.describe() if hasattr(metric, "describe") else ():
            base = family.name
            if family.type == "counter":
                names[f"{base}_total"] = labels
            elif family.type == "histogram":
                names |= {f"{base}_{part}": labels for part in ("bucket", "sum", "count")}
            else:
                names[base] = labels
    return names


KNOWN = known()


def rules(name: str) -> list[dict[str, str]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> list[tuple[str, str]]:
    found = []
    for name in ("rules.yml", "alerts.yml"):
        found += [(rule.get("record") or rule["alert"], rule["expr"]) for rule in rules(name)]
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "gateway.json").read_text())
    for panel in board["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel.get("targets", ())]
    return found


QUERIES = queries()


def test_there_is_much_to_check():
    assert len(KNOWN) > 60
    assert len(QUERIES) > 60


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_every_query_asks_for_what_exists(where, query):
    names = set(_NAME.findall(query))
    assert not names - set(KNOWN), where
    labels = {label for name in names for label in KNOWN[name]} | ADDED
    for name, matchers in _LABELS.findall(query):
        used = {part.partition("=")[0].strip(" !~") for part in matchers.split(",") if part}
        assert not used - KNOWN[name] - ADDED, where
    for group in _BY.findall(query) if names else ():
        assert not {label.strip() for label in group.split(",")} - labels, where


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_every_query_is_promql(where, query):
    parser = pytest.importorskip("promql_parser", reason="pip install promql-parser")
    parser.parse(query.replace("$__rate_interval", "5m"))


def test_alerts_use_recorded_series_that_exist():
    recorded = {rule["record"] for rule in rules("rules.yml")}
    used = {
        name for rule in rules("alerts.yml") for name in re.findall(r"gateway:[\w:]+", rule["expr"])
    }
    assert used <= recorded
    for rule in rules("alerts.yml"):
        assert {"summary", "action"} == set(rule["annotations"])
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_end_reasons_and_rules_in_queries_exist():
    reasons = (DEPLOY.parent / "gateway/records/model.py").read_text()
    admission = (DEPLOY.parent / "gateway/sip/admission.py").read_text()
    for _, query in QUERIES:
        for names in re.findall(r'end_reason=~?"([^"]+)"', query):
            assert all(f'"{name}"' in reasons for name in names.split("|"))
        for name in re.findall(r'rule="([^"]+)"', query):
            assert f'"{name}"' in admission


def test_the_dashboard_is_what_its_script_writes():
    script = runpy.run_path(str(DEPLOY / "grafana" / "make_dashboard.py"))
    kept = (DEPLOY / "grafana" / "dashboards" / "gateway.json").read_text()
    assert script["text"]() == kept, "run: python deploy/grafana/make_dashboard.py"


def test_panels_do_not_overlap():
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "gateway.json").read_text())
    places = [panel["gridPos"] for panel in board["panels"]]
    cells = [
        (x, y)
        for p in places
        for x in range(p["x"], p["x"] + p["w"])
        for y in range(p["y"], p["y"] + p["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
