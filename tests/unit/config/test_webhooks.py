"""What is wrong with a receiver of webhooks is said at its key."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.models import GatewayConfig
from gateway.config.webhook_checks import webhook_faults

SECRET = "x" * 24
GOOD = {"name": "crm", "url": "https://crm.example.net/voice", "secret": SECRET}


def faults(*tables: dict[str, Any]) -> dict[str, str]:
    config = GatewayConfig.model_validate({"webhooks": list(tables)})
    return {".".join(map(str, loc)): text for loc, text in webhook_faults(config)}


def test_a_good_one() -> None:
    assert not faults(GOOD, GOOD | {"name": "other", "url": "http://10.0.0.5:8000/"})


@pytest.mark.parametrize(
    ("more", "key", "text"),
    [
        ({"url": "crm.example.net"}, "url", "https://"),
        ({"url": "http://crm.example.net/"}, "url", "in clear"),
        ({"url": "https://user:pass@crm.example.net/"}, "url", "headers"),
        ({"url": "https://crm.example.net:port/"}, "url", "no URL"),
        ({"secret": "short"}, "secret", "at least 24"),
        ({"events": []}, "events", "at least one"),
        ({"events": ["call.turn", "call.turn"]}, "events", "twice"),
        ({"headers": {"Webhook-Id": "1"}}, "headers.Webhook-Id", "gateway"),
        ({"headers": {"X Y": "1"}}, "headers.X Y", "name"),
        ({"headers": {"X-Y": "a\r\nb"}}, "headers.X-Y", "printable"),
    ],
)
def test_what_is_wrong(more: dict[str, Any], key: str, text: str) -> None:
    assert text in faults(GOOD | more)[f"webhooks.0.{key}"]


def test_two_of_one_name() -> None:
    assert "exists already" in faults(GOOD, GOOD)["webhooks.1.name"]
