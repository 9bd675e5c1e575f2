"""What a running gateway takes of a changed configuration, and what it does not."""

from typing import Any

import pytest

from gateway.config.models import GatewayConfig
from gateway.setup.changes import changes

AGENTS = {"a": {"greeting": "Hello."}, "b": {}}
BASE: dict[str, Any] = {"agents": AGENTS, "sip": {"users": {"bob": "secret"}}}


def config(edge: str, /, **over: Any) -> GatewayConfig:
    return GatewayConfig.model_validate({"workers": {"edge": edge}, **BASE, **over})


@pytest.mark.parametrize(
    ("over", "keys", "without_edge", "with_edge"),
    [
        ({}, "", "", ""),
        ({"agents": {**AGENTS, "a": {"greeting": "Hi."}}}, "agents.a.greeting", "", ""),
        ({"agents": {"a": AGENTS["a"], "c": {}}}, "agents.b agents.c", "", ""),
        ({"default_agent": "b"}, "default_agent", "", ""),
        ({"media": {"echo_tail_ms": 128}}, "media.echo_tail_ms", "", ""),
        ({"http": {"port": 1}}, "http.port", "http.port", "http.port"),
        ({"records": {"audio": False}}, "records.audio", "records.audio", "records.audio"),
        ({"sip": {**BASE["sip"], "port": 7}}, "sip.port", "sip.port", "sip.port"),
        ({"sip": {**BASE["sip"], "max_call_s": 7}}, "sip.max_call_s", "", ""),
        ({"sip": {**BASE["sip"], "codecs": ["PCMU"]}}, "sip.codecs", "sip.codecs", ""),
        ({"sip": {"users": {"bob": "other"}}}, "sip.users.bob", "sip.users.bob", ""),
        ({"sip": {}}, "sip.users.bob", "sip.users.bob", ""),
        ({"trunks": [{"name": "t", "server": "x"}]}, "trunks", "trunks", ""),
        ({"edge": {"queue_s": 7}}, "edge.queue_s", "edge.queue_s", ""),
        ({"edge": {"run": False}}, "edge.run", "edge.run", "edge.run"),
    ],
)
def test_table(over: dict[str, Any], keys: str, without_edge: str, with_edge: str) -> None:
    for edge, expected in (("none", without_edge), ("kamailio", with_edge)):
        found = changes(config(edge), config(edge, **over))
        assert " ".join(found.keys) == keys
        assert " ".join(found.need_restart) == expected


def test_of_the_workers_only_limits_may_change() -> None:
    old = GatewayConfig.model_validate({"workers": {"edge": "kamailio"}})
    new = GatewayConfig.model_validate(
        {"workers": {"edge": "kamailio", "count": 2, "drain_limit_s": 9, "stuck_after_s": 9}}
    )
    assert changes(old, new).need_restart == ("workers.count",)
    assert len(changes(old, new).keys) == 3
