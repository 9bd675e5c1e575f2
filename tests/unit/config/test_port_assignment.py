"""Port assignments: who listens where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.checks import check
from gateway.config.models import GatewayConfig
from gateway.config.port_assignment import (
    automatic_count,
    decoders_of,
    most_workers,
    port_assignments,
    rtp_shares,
)

GB = 1_000_000_000


def config(count: int | str = 3, edge: str = "kamailio", **sip: object) -> GatewayConfig:
    return GatewayConfig.model_validate({"sip": sip, "workers": {"count": count, "edge": edge}})


def test_one_worker_without_an_edge_has_all_ports() -> None:
    (assignment,) = port_assignments(config(1, "none"), 1)
    assert (assignment.number, assignment.sip_port, assignment.rtp_ports) == (
        0,
        5060,
        (20000, 20999),
    )


def test_each_worker_behind_an_edge_has_its_own_and_one_to_be_replaced_by() -> None:
    assignments = port_assignments(config(3), 3)
    assert [assignment.number for assignment in assignments] == [1, 2, 3, 4, 5, 6]
    assert [assignment.sip_port for assignment in assignments] == [
        5061,
        5062,
        5063,
        5064,
        5065,
        5066,
    ]
    assert assignments[0].rtp_ports == (20000, 20165)
    assert assignments[5].rtp_ports == (20830, 20995)


@given(st.integers(1024, 60000), st.integers(1, 5000), st.integers(1, 64), st.integers(1, 4))
def test_shares_are_equal_and_do_not_touch(low: int, size: int, shares: int, calls: int) -> None:
    ports = (low, low + size - 1)
    try:
        found = rtp_shares(ports, shares, calls)
    except ValueError:
        assert size - 1 < shares * (calls * 4 + 2)
        return
    assert len(found) == shares
    assert len({last - first for first, last in found}) == 1
    assert ports[0] <= found[0][0]
    assert found[-1][1] <= ports[1]
    for (first, last), after in zip(found, [*found[1:], (70000, 0)], strict=True):
        assert first % 2 == 0
        assert last - first + 1 >= calls * 4
        assert last < after[0]


@pytest.mark.parametrize(
    ("cores", "memory", "count"),
    [(1, 8 * GB, 2), (2, 24 * GB, 4), (8, 2 * GB, 6), (4, GB // 8, 1), (256, 999 * GB, 64)],
)
def test_automatic_count(cores: int, memory: int, count: int) -> None:
    assert automatic_count(cores, memory) == count


@pytest.mark.parametrize(
    ("sip", "most"),
    [
        ({}, 31),
        ({"rtp_ports": (20000, 20100)}, 3),
        ({"rtp_ports": (5070, 9000)}, 4),
        ({"port": 65530}, 2),
        ({"port": 65535}, 1),
    ],
)
def test_most_workers(sip: dict[str, object], most: int) -> None:
    assert most_workers(config("auto", **sip)) == most


@pytest.mark.parametrize(
    ("made", "key"),
    [
        (config(2, "none"), "workers.count"),
        (config("auto", "none"), ""),
        (config(4), ""),
        (config("auto"), ""),
        (config(4, rtp_ports=(20000, 20100)), "sip.rtp_ports"),
        (config(4, rtp_ports=(5062, 5999)), "sip.rtp_ports"),
        (config(4, port=65530), "sip.port"),
        (config(4, port=8075), "http.port"),
    ],
)
def test_what_does_not_fit_is_told(made: GatewayConfig, key: str) -> None:
    found = [".".join(map(str, loc)) for loc, _ in check(made)]
    assert found == ([key] if key else [])


@pytest.mark.parametrize(
    ("edge", "key"),
    [
        ({"hosts": ["10.0.0.2"]}, "edge.hosts"),
        ({"join": "10.0.0.1"}, "edge.join"),
        ({"hosts": ["10.0.0.2"], "key": "secret"}, ""),
        ({"join": "10.0.0.1", "key": "secret"}, ""),
        ({}, ""),
    ],
)
def test_hosts_share_a_key(edge: dict[str, object], key: str) -> None:
    made = GatewayConfig.model_validate({"workers": {"edge": "kamailio"}, "edge": edge})
    found = [".".join(map(str, loc)) for loc, text in check(made) if "edge.key" in text]
    assert found == ([key] if key else [])


@pytest.mark.parametrize(
    ("recognizers", "decoders"),
    [(1, [1]), (2, [2]), (4, [4]), (5, [3, 2]), (8, [4, 4]), (64, [4] * 16)],
)
def test_recognizer_processes_hear_up_to_four_callers_each(
    recognizers: int, decoders: list[int]
) -> None:
    assert decoders_of(recognizers) == decoders
