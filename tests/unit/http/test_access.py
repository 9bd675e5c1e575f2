import pytest

from gateway.http.access import Access

LOCAL = {"host": "127.0.0.1:8080"}


@pytest.mark.parametrize(
    ("peer", "headers", "code"),
    [
        ("127.0.0.1", LOCAL, None),
        ("127.3.2.1", {"host": "localhost"}, None),
        ("::1", {"host": "[::1]:8080"}, None),
        ("::ffff:127.0.0.1", {"host": "LOCALHOST:1"}, None),
        ("192.0.2.7", LOCAL, "loopback_only"),
        ("::ffff:192.0.2.7", LOCAL, "loopback_only"),
        ("", LOCAL, "loopback_only"),
        ("unix", LOCAL, "loopback_only"),
        ("127.0.0.1", {"host": "evil.example:8080"}, "foreign_host"),
        ("127.0.0.1", {"host": "localhost.evil.example"}, "foreign_host"),
        ("127.0.0.1", {"host": "evil@evil.example"}, "foreign_host"),
        ("127.0.0.1", {"host": "[::1"}, "foreign_host"),
        ("127.0.0.1", {}, "foreign_host"),
        ("127.0.0.1", LOCAL | {"x-forwarded-for": "192.0.2.7"}, "proxied"),
        ("127.0.0.1", LOCAL | {"origin": "https://evil.example"}, "foreign_origin"),
        ("127.0.0.1", LOCAL | {"origin": "null"}, "foreign_origin"),
        ("127.0.0.1", LOCAL | {"origin": "http://127.0.0.1:8080"}, None),
    ],
)
def test_without_keys_only_this_machine(
    peer: str, headers: dict[str, str], code: str | None
) -> None:
    refusal = Access([]).refusal(peer, headers)
    assert (refusal.code if refusal else None) == code


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"authorization": "Bearer one"}, None),
        ({"authorization": "bearer two"}, None),
        ({"x-api-key": "two"}, None),
        ({"authorization": "Bearer three"}, "key_unknown"),
        ({"authorization": "Basic one"}, "key_required"),
        ({"authorization": "Bearer "}, "key_required"),
        ({"authorization": "Bearer schlüssel\udcff"}, "key_unknown"),
        ({"x-api-key": ""}, "key_required"),
        ({}, "key_required"),
    ],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.7"])
def test_with_keys_everybody_needs_one(
    peer: str, headers: dict[str, str], code: str | None
) -> None:
    refusal = Access(["one", "two"]).refusal(peer, headers)
    assert (refusal.code if refusal else None) == code
    assert refusal is None or refusal.status == 401
