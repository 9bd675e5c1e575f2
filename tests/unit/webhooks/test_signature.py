"""Requests as the vendor's own library verifies them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import openai
import pytest

from gateway.webhooks.signature import key_of, signed_headers

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = b'{"id":"evt_1","type":"batch.completed","created_at":1,"data":{"id":"b"},"object":"event"}'


def verify(secret: str, headers: dict[str, str], body: bytes) -> None:
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    client.webhooks.verify_signature(body, headers)


@pytest.mark.parametrize("secret", [SECRET, "a text of more than twenty-four"])
def test_another_implementation_accepts_it(secret: str) -> None:
    now_s = int(datetime.now(UTC).timestamp())
    verify(secret, signed_headers(key_of(secret), "evt_1", now_s, BODY), BODY)


def test_another_body_secret_or_time_is_not_accepted() -> None:
    now_s = int(datetime.now(UTC).timestamp())
    headers = signed_headers(key_of(SECRET), "evt_1", now_s, BODY)
    changed = json.dumps(json.loads(BODY) | {"id": "evt_2"}).encode()
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    old = signed_headers(key_of(SECRET), "evt_1", now_s - 3600, BODY)
    for secret, sent, body in ((SECRET, headers, changed), (other, headers, BODY),
                               (SECRET, old, BODY)):  # fmt: skip
        with pytest.raises(openai.InvalidWebhookSignatureError):
            verify(secret, sent, body)


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        ("short", "at least 24 characters"),
        ("whsec_$$$", "base64"),
        ("whsec_" + base64.b64encode(b"short").decode(), "at least 24 bytes"),
    ],
)
def test_a_weak_secret_is_refused(secret: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        key_of(secret)
