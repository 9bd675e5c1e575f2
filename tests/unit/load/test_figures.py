"""Percentiles, histograms, metrics, saturation, growth, and what is made of them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.load.percentiles import Percentiles, percentiles_of, percentiles_of_buckets
from gateway.load.prometheus import buckets_between, parse_metrics
from gateway.load.report import LoadReport, Machine, StepFigures
from gateway.load.report_plot import draw, label, ticks
from gateway.load.report_table import report_lines, step_table
from gateway.load.step import goodbyes_of
from gateway.load.verdict import leaks_between, saturation_of, slope_per_hour
from gateway.records.model import CallRecord

INF = math.inf


def gap(p90, p50=400.0, n=50):
    return Percentiles(n=n, p50=p50, p90=p90, p95=p90, p99=p90, max=p90)


def step(calls=1, p90=600.0, frame=22.0, failed=0, **more):
    frames = Percentiles(n=1000, p50=20.0, p90=21.0, p95=21.5, p99=frame, max=frame)
    given = {"gap_wire_ms": gap(p90), "frame_wire_ms": frames, "done": calls} | more
    return StepFigures(calls=calls, failed=failed, **given)


def test_percentiles():
    found = percentiles_of(list(range(1, 101)))
    assert (found.n, found.p50, found.p95, found.max) == (100, 50.5, 95.05, 100)
    assert percentiles_of([]) == Percentiles()
    assert percentiles_of([7.0]).p99 == 7.0


def test_percentiles_of_a_histogram():
    found = percentiles_of_buckets({10.0: 0.0, 20.0: 50.0, 30.0: 100.0, INF: 100.0})
    assert (found.n, found.p50, found.p90, found.max) == (100, 20.0, 28.0, None)


def test_beyond_the_last_bound_nothing_is_known():
    assert percentiles_of_buckets({10.0: 1.0, INF: 100.0}).p90 == 10.0
    assert percentiles_of_buckets({}) == Percentiles()
    assert percentiles_of_buckets({10.0: 0.0, INF: 0.0}) == Percentiles()


@given(st.lists(st.floats(0.1, 99.9), min_size=1, max_size=300))
def test_a_histogram_is_right_within_its_buckets(values):
    bounds = [10.0 * n for n in range(1, 11)]
    buckets = {bound: float(sum(v <= bound for v in values)) for bound in bounds}
    found = percentiles_of_buckets(buckets | {INF: float(len(values))})
    rank = math.ceil(0.9 * len(values)) or 1
    assert abs(found.p90 - sorted(values)[rank - 1]) <= 10.0


METRICS = """\
# HELP gateway_cpu_seconds CPU time used since the start.
# TYPE gateway_cpu_seconds gauge
gateway_cpu_seconds{{process="supervisor"}} 1.5
gateway_cpu_seconds{{process="worker-1"}} {cpu}
# HELP gateway_calls_total Calls that ended.
# TYPE gateway_calls_total counter
gateway_calls_total{{direction="in",end_reason="failed",process="worker-1"}} 3.0
# HELP gateway_outbound_frame_gap_seconds Between two frames sent.
# TYPE gateway_outbound_frame_gap_seconds histogram
gateway_outbound_frame_gap_seconds_bucket{{le="0.02",process="worker-1"}} {few}
gateway_outbound_frame_gap_seconds_bucket{{le="+Inf",process="worker-1"}} {many}
gateway_outbound_frame_gap_seconds_bucket{{le="0.02",process="worker-2"}} 5.0
gateway_outbound_frame_gap_seconds_bucket{{le="+Inf",process="worker-2"}} 5.0
gateway_outbound_frame_gap_seconds_count{{process="worker-1"}} {many}
gateway_outbound_frame_gap_seconds_sum{{process="worker-1"}} 1.0
"""


def test_metrics_by_process_and_histograms_over_all():
    before = parse_metrics(METRICS.format(cpu=2.0, few=10.0, many=12.0))
    after = parse_metrics(METRICS.format(cpu=3.0, few=15.0, many=22.0))
    assert before.gauges["worker-1"] == {
        "cpu_seconds": 2.0,
        "outbound_frame_gap_seconds_count": 12.0,
        "outbound_frame_gap_seconds_sum": 1.0,
    }
    assert before.total("cpu_seconds") == 3.5
    assert before.counters == {"calls": 3.0}
    name = "outbound_frame_gap_seconds"
    assert buckets_between(before, after, name) == {0.02: 5.0, INF: 10.0}
    assert buckets_between(after, before, name) == {}, "a worker that was replaced"
    assert buckets_between(before, after, "no_such") == {}


@pytest.mark.parametrize(
    ("figures", "reasons"),
    [
        ({}, 0),
        ({"p90": 900.0}, 0),
        ({"p90": 901.0}, 1),
        ({"frame": 30.0}, 0),
        ({"frame": 30.1}, 1),
        ({"failed": 1}, 1),
        ({"engine_failures": 1}, 1),
        ({"p90": 2000.0, "frame": 80.0, "failed": 2}, 3),
    ],
)
def test_saturation(figures, reasons):
    assert len(saturation_of(step(), step(8, **figures))) == reasons


def test_without_measuring_callers_the_gateway_s_own_figures_judge():
    blind = {"gap_wire_ms": Percentiles(), "frame_wire_ms": Percentiles()}
    first = step(**blind, gap_gateway_ms=gap(600.0))
    late = Percentiles(n=10, p50=20.0, p90=40.0, p95=40.0, p99=45.0)
    slow = step(8, **blind, gap_gateway_ms=gap(1000.0), frame_gateway_ms=late)
    assert len(saturation_of(first, slow)) == 2
    assert saturation_of(step(**blind), step(8, **blind)) == []


def test_what_has_grown():
    before = {"worker-0": {"rss_bytes": 200e6, "threads": 9, "open_files": 40}}
    same = {"worker-0": {"rss_bytes": 207e6, "threads": 9, "open_files": 38}}
    more = {"worker-0": {"rss_bytes": 230e6, "threads": 10, "open_files": 40}}
    assert not any(leak.is_growth for leak in leaks_between(before, same))
    assert [k.name for k in leaks_between(before, more) if k.is_growth] == ["rss_bytes", "threads"]
    assert [k.is_growth for k in leaks_between(before, {})] == [True]


def test_the_slope_of_memory():
    assert slope_per_hour([(10.0 * n, 5e6 + 1000.0 * n) for n in range(60)]) == pytest.approx(36e4)
    assert slope_per_hour([(0.0, 1.0)] * 3) is None


def report(*steps, **more):
    machine = Machine(
        cpu="A <CPU>", cores=2, python="3.11", date="2026-11-21", load_average=(0.1, 0.2, 0.3)
    )
    given = {"command": "gateway load", "target": "sip:x@y", "engine": "llm", "mix": {"talk": 1}}
    return LoadReport(machine=machine, rate_per_s=2.0, steps=steps, **given, **more)


def test_cost_per_call():
    one = step(8, gateway_cores={"worker": 0.3, "recognizer": 0.1}, extra_memory_mb=16.0)
    assert one.cpu_percent_per_call == pytest.approx(5.0)
    assert one.calls_per_core == pytest.approx(20.0)
    assert step().cpu_percent_per_call is None


def test_the_report_says_where_it_saturates_and_why():
    good = step(4, gateway_cores={"worker": 0.2})
    bad = step(8, failed=1, causes={"503 no": 1}, saturation=("1 failed",), machine_cores=1.5)
    text = "\n".join(report_lines(report(good, bad)))
    assert "holds: 4 calls at once, 5.00 % of a core per call, 20 per core" in text
    assert "saturates at 8 calls: 1 failed" in text
    assert "8 calls: 1 x 503 no" in text
    assert report(good, bad).best == good
    assert report(bad).best is None
    assert "beware" not in text
    assert "beware" in "\n".join(report_lines(report(step(caller_late_p99_ms=20.0))))


def test_the_table_has_a_line_per_step_and_takes_missing_figures():
    lines = step_table([StepFigures(calls=1), step(2, saturation=("slow",))])
    assert len(lines) == 5
    assert lines[-1].endswith("<- slow")
    assert step_table([step(first_try=("late",))])[-1].endswith("(first try: late)")
    assert "-/-" in lines[3]


def test_growth_is_told():
    leaks = leaks_between({"w": {"threads": 1}}, {"w": {"threads": 2}})
    text = "\n".join(report_lines(report(step(), leaks=tuple(leaks), leak_calls=7)))
    assert "GROWN" in text
    assert "verdict: 1 figures have grown" in text


def test_the_plot_is_a_picture_with_all_steps():
    svg = draw(report(step(1), step(4), step(8, saturation=("x",))))
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("4") == 5
    assert "limit" in words
    assert draw(report())


def test_a_report_can_be_read_back():
    one = report(step(1, gateway_cores={"worker": 0.1}))
    assert LoadReport.model_validate_json(one.model_dump_json()) == one


@given(st.floats(1e-3, 1e7))
def test_marks_of_an_axis_are_round_and_written_out(most):
    marks = ticks(most)
    assert 3 <= len(marks) <= 7
    assert marks[0] == 0 <= most <= marks[-1] <= 2 * most
    for mark in marks:
        assert "e" not in label(mark)
        assert float(label(mark).replace(",", "")) == pytest.approx(mark, rel=1e-6)


def test_marks_of_an_axis():
    assert [label(mark) for mark in ticks(1155.0)] == ["0", "500", "1,000", "1,500"]
    assert [label(mark) for mark in ticks(0.9)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [label(mark) for mark in ticks(0.0)] == ["0", "1"]


def ended_by(*reasons):
    start = datetime(2026, 11, 28, tzinfo=UTC)
    return [
        CallRecord(
            call_id="20261128-000000-00000000", direction="in", started_at=start, end_reason=reason
        )
        for reason in reasons
    ]


@pytest.mark.parametrize(
    ("byes", "records", "goodbyes"),
    [
        (3, None, 3),  # nobody can be asked: an agent is taken at its word
        (3, ended_by("bot_hung_up", "silence", "caller_hung_up"), 2),
        (1, ended_by("bot_hung_up", "bot_hung_up"), 1),
        (2, ended_by("no_media", "crashed"), 0),
        (0, ended_by("bot_hung_up"), 0),
    ],
)
def test_an_agents_goodbye_is_no_failure(byes, records, goodbyes):
    assert goodbyes_of(byes, records) == goodbyes
