import pytest

from gateway.api_keys import hash_of, is_hash, new_key, own_key
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
        ("127.0.0.1", LOCAL | {"x-forwarded-proto": "https"}, "proxied"),
        ("127.0.0.1", LOCAL | {"x-forwarded-server": "www"}, "proxied"),
        ("127.0.0.1", LOCAL | {"forwarded": "for=192.0.2.7"}, "proxied"),
        ("127.0.0.1", LOCAL | {"via": "1.1 squid"}, "proxied"),
        ("127.0.0.1", LOCAL | {"x-real-ip": "192.0.2.7"}, "proxied"),
        ("127.0.0.1", LOCAL | {"cf-connecting-ip": "192.0.2.7"}, "proxied"),
        ("127.0.0.1", LOCAL | {"cf-ray": "1"}, "proxied"),
        ("127.0.0.1", LOCAL | {"true-client-ip": "192.0.2.7"}, "proxied"),
        ("127.0.0.1", LOCAL | {"x-envoy-external-address": "192.0.2.7"}, "proxied"),
        ("127.0.0.1", LOCAL | {"wl-proxy-client-ip": "192.0.2.7"}, "proxied"),
        ("127.0.0.1", LOCAL | {"x_forwarded_for": "192.0.2.7"}, "proxied"),
        ("127.0.0.1", LOCAL | {"x-arr-ssl": "1"}, "proxied"),
        ("127.0.0.1", LOCAL | {"tailscale-user-login": "a"}, "proxied"),
        ("127.0.0.1", LOCAL | {"x-nginx-proxy": "true"}, "proxied"),
        ("127.0.0.1", LOCAL | {"x-request-id": "1"}, None),
        ("127.0.0.1", LOCAL | {"x-prometheus-scrape-timeout-seconds": "10"}, None),
        ("127.0.0.1", {"host": "evil.example@localhost"}, "foreign_host"),
        ("127.0.0.1", {"host": "localhost#.evil.example"}, "foreign_host"),
        ("127.0.0.1", {"host": "localhost/"}, "foreign_host"),
        ("127.0.0.1", {"host": "[::1]:8080"}, None),
        ("127.0.0.1", LOCAL | {"sec-fetch-site": "none, cross-site"}, "foreign_origin"),
        ("127.0.0.1", LOCAL | {"origin": "http://127.0.0.1:8080, http://x"}, "foreign_origin"),
        ("127.0.0.1", LOCAL | {"x-requested-with": "XMLHttpRequest"}, None),
        ("127.0.0.1", LOCAL | {"sec-fetch-site": "cross-site"}, "foreign_origin"),
        ("127.0.0.1", LOCAL | {"sec-fetch-site": "same-site"}, "foreign_origin"),
        ("127.0.0.1", LOCAL | {"sec-fetch-site": "same-origin"}, None),
        ("127.0.0.1", LOCAL | {"sec-fetch-site": "none"}, None),
        ("127.0.0.1", LOCAL | {"referer": "https://evil.example/x"}, "foreign_origin"),
        ("127.0.0.1", LOCAL | {"referer": "http://[::1/"}, "foreign_origin"),
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


def test_a_plain_proxy_pass_speaks_http_1_0() -> None:
    refusal = Access([]).refusal("127.0.0.1", LOCAL, http_version="1.0")
    assert refusal is not None
    assert refusal.code == "proxied"
    key = LOCAL | {"authorization": "Bearer one"}
    assert Access(["one"]).refusal("127.0.0.1", key, http_version="1.0") is None


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


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def code(access: Access, key: str, **more: object) -> str | None:
    refusal = access.refusal("192.0.2.7", bearer(key), **more)
    return refusal.code if refusal else None


def test_a_hash_is_as_good_as_its_key() -> None:
    key = new_key()
    access = Access([hash_of(key)])
    assert code(access, key) is None
    assert code(access, hash_of(key)) == "key_unknown"
    assert code(access, new_key()) == "key_unknown"
    assert key not in repr(vars(access))


def test_keys_are_long_and_never_the_same() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) == 47 and not is_hash(key) and is_hash(hash_of(key)) for key in keys)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("GET", None), ("HEAD", None), ("POST", "read_only_key"), ("DELETE", "read_only_key")],
)
def test_a_read_key_looks_and_does_not_act(method: str, expected: str | None) -> None:
    access = Access(["act"], ["look"])
    assert code(access, "look", method=method) == expected
    assert code(access, "act", method=method) is None


def test_wrong_keys_cannot_be_tried_without_end() -> None:
    strong = new_key()
    access = Access(["weak", hash_of(strong)])
    assert [code(access, "guess", now_s=1.0) for _ in range(10)] == ["key_unknown"] * 10
    assert code(access, "guess", now_s=1.0) == "too_many_wrong_keys"
    assert code(access, "weak", now_s=1.0) == "too_many_wrong_keys"
    assert code(access, strong, now_s=1.0) is None  # nobody is locked out by a proxy's neighbours
    assert access.refusal("192.0.2.8", bearer("weak"), now_s=1.0) is None
    assert code(access, "weak", now_s=8.0) is None


def test_an_abused_proxy_locks_nobody_out_who_has_a_good_key() -> None:
    access = Access(["a plain key of some length", "short"], ["read me as well"])
    assert code(access, "short", now_s=1.0) is None  # it was right before all this
    for _ in range(20):
        code(access, "guess", now_s=1.0)
    assert code(access, "guess", now_s=1.0) == "too_many_wrong_keys"
    assert code(access, "a plain key of some length", now_s=1.0) is None
    assert code(access, "read me as well", now_s=1.0) is None
    assert code(access, "read me as well", method="POST", now_s=1.0) == "read_only_key"
    assert code(access, "short", now_s=1.0) is None


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/metrics", None),
        ("GET", "/readyz", None),
        ("GET", "/v1/calls", "metrics_only_key"),
        ("GET", "/metrics/../v1/calls", "metrics_only_key"),
        ("POST", "/metrics", "metrics_only_key"),
        ("POST", "/v1/drain", "metrics_only_key"),
        ("DELETE", "/v1/calls/x", "metrics_only_key"),
    ],
)
def test_a_metrics_key_reads_metrics(method: str, path: str, expected: str | None) -> None:
    access = Access([], [], ["scrape"])
    assert code(access, "scrape", method=method, path=path) == expected
    refusal = access.refusal("127.0.0.1", LOCAL, method, path=path)
    assert refusal is not None  # once there is a key, nobody passes without one
    assert refusal.status == 401


def test_the_log_names_a_key_by_its_hash() -> None:
    key = new_key()
    access = Access([hash_of(key)])
    assert access.caller(bearer(key)) == hash_of(key)[:15]
    assert access.caller({}) == Access([]).caller(bearer(key)) == "this machine, without a key"


@pytest.mark.parametrize(
    ("peer", "headers", "is_open"),
    [
        ("127.0.0.1", LOCAL, True),
        ("127.0.0.1", LOCAL | {"via": "1.1 x"}, False),
        ("192.0.2.7", LOCAL, False),
        ("192.0.2.7", LOCAL | bearer("key"), True),
    ],
)
def test_strangers_are_not_told_what_this_is(
    peer: str, headers: dict[str, str], is_open: bool
) -> None:
    for path in ("/", "/docs", "/openapi.json"):
        refusal = Access(["key"]).refusal(peer, headers, path=path)
        assert (refusal is None) == is_open


@pytest.mark.parametrize(
    ("entries", "environ", "expected"),
    [
        (["plain"], {}, "plain"),
        (["plain"], {"GATEWAY_API_KEY": "named"}, "named"),
        ([hash_of("x")], {}, None),
        ([hash_of("x"), "plain"], {}, "plain"),
        ([], {}, None),
    ],
)
def test_our_own_commands_find_their_key(
    entries: list[str], environ: dict[str, str], expected: str | None
) -> None:
    assert own_key(entries, environ) == expected
