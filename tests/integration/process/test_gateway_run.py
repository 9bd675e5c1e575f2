"""`gateway run` as a process: starts, says that it is ready, ends cleanly."""

from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.support.gateway_process import GatewayUnderTest, running_gateway


def test_it_serves_health_metrics_and_an_empty_list_of_calls(
    default_gateway: GatewayUnderTest,
) -> None:
    assert default_gateway.get("/healthz")
    assert default_gateway.metrics()['gateway_call_slots{process="worker-0"}'] == 4
    with pytest.raises(HTTPError):
        default_gateway.get("/v1/calls/20260101-000000-00000000")


def test_a_busy_port_ends_it_and_is_named(
    tmp_path: Path, default_gateway: GatewayUnderTest
) -> None:
    port = default_gateway.sip_port
    with (
        pytest.raises(AssertionError, match=f"(?s)exit code 1.*{port}"),
        running_gateway(tmp_path, f"[sip]\nport = {port}"),
    ):
        pass
