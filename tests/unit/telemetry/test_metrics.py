import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics import Metrics, merge_texts
from gateway.telemetry.process import is_process_alive, read_usage

NAMES = """calls_total refused_total call_slots call_slots_used response_gap_seconds
gateway_share_seconds barge_in_stop_seconds barge_in_total llm_first_token_seconds
tts_first_audio_seconds stt_final_seconds endpointing_seconds media_callback_seconds
outbound_frame_gap_seconds inlet_dropped_frames_total provider_errors_total tool_calls_total
trunk_registered records_errors_total llm_tokens_total sip_dialogs open_sockets asyncio_tasks
threads rss_bytes false_starts_total false_interruptions_total held_breaths_total
webhook_requests_total webhook_waiting speculation_total llm_tokens_wasted_total
fillers_total watchdog_total"""


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_metric_is_there_with_help() -> None:
    text = Metrics().text()
    for name in NAMES.split():
        assert f"# TYPE gateway_{name} " in text
        assert f"# HELP gateway_{name} " in text
    assert "_created" not in text


def test_a_renamed_metric_keeps_its_former_name_for_one_release() -> None:
    metrics = Metrics()
    metrics.count_false_interruption("noise")
    found = samples(metrics.text())
    for name in ("false_interruptions", "held_breaths"):
        assert found[(f"gateway_{name}_total", (("evidence", "noise"),))] == 1


def test_values_arrive() -> None:
    metrics = Metrics()
    metrics.calls.labels("in", "caller_hung_up").inc()
    metrics.response_gap.observe(0.75)
    metrics.trunk_registered.labels(trunk='a"b\\').set(1)
    found = samples(metrics.text())
    assert (
        found[("gateway_calls_total", (("direction", "in"), ("end_reason", "caller_hung_up")))] == 1
    )
    assert found[("gateway_response_gap_seconds_bucket", (("le", "0.8"),))] == 1
    assert found[("gateway_response_gap_seconds_bucket", (("le", "0.6"),))] == 0


def quantile(text: str, name: str, share: float) -> float:
    """As PromQL's histogram_quantile reads it: linear within the bucket."""
    buckets = sorted(
        (float(labels[0][1]), count)
        for (sample, labels), count in samples(text).items()
        if sample == f"gateway_{name}_bucket"
    )
    rank = share * buckets[-1][1]
    above = next(at for at, (_, count) in enumerate(buckets) if count >= rank)
    below, counted = buckets[above - 1] if above else (0.0, 0.0)
    upper, count = buckets[above]
    return below + (upper - below) * (rank - counted) / (count - counted)


@pytest.mark.parametrize(
    ("name", "median_s", "within_s"),
    [("response_gap_seconds", 0.42, 0.025), ("barge_in_stop_seconds", 0.09, 0.01)],
)
def test_quantiles_can_be_read(name: str, median_s: float, within_s: float) -> None:
    metrics = Metrics()
    histogram = getattr(metrics, name.removesuffix("_seconds"))
    values = sorted(random.Random(1).lognormvariate(math.log(median_s), 0.4) for _ in range(2000))
    for value in values:
        histogram.observe(value)
    for share in (0.5, 0.9, 0.95):
        real = values[round(share * len(values))]
        assert abs(quantile(metrics.text(), name, share) - real) < within_s


def test_two_sets_are_independent() -> None:
    first, second = Metrics(), Metrics()
    first.records_errors.inc()
    assert samples(second.text())[("gateway_records_errors_total", ())] == 0


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(["in", "out"]), max_size=5), st.floats(0, 10))
def test_merging_keeps_every_sample_and_each_head_once(directions: list[str], gap: float) -> None:
    first, second = Metrics(), Metrics()
    for direction in directions:
        first.calls.labels(direction, "failed").inc()
    second.response_gap.observe(gap)
    text = merge_texts({"worker-0": first.text(), "supervisor": second.text()})
    merged = samples(text)
    for process, part in (("worker-0", first), ("supervisor", second)):
        for (name, labels), value in samples(part.text()).items():
            more = tuple(sorted((*labels, ("process", process))))
            assert merged[(name, more)] == value
    heads = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    assert len(merged) == len(samples(first.text())) + len(samples(second.text()))


def test_merging_nothing() -> None:
    assert merge_texts({}) == ""
    assert merge_texts({"a": ""}) == ""


def test_this_process_can_be_looked_at() -> None:
    usage = read_usage()
    assert usage.threads >= 1
    assert usage.rss_bytes > 5_000_000
    assert usage.open_files >= usage.open_sockets
    assert usage.cpu_s > 0
    with open("/dev/null"):  # noqa: PTH123
        assert read_usage().open_files == usage.open_files + 1


def test_only_running_processes_are_alive() -> None:
    assert is_process_alive(1)
    assert not is_process_alive(2**22 + 1)
