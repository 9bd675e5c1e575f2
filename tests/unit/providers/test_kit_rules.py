"""The rules of the provider kit: close codes, statuses, waits, addresses, secrets."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers.kit import rules


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, ProviderUnavailable),
        (1001, ProviderUnavailable),
        (1002, ProviderProtocolError),
        (1003, ProviderRejected),
        (1006, ProviderUnavailable),
        (1007, ProviderProtocolError),
        (1008, ProviderRejected),
        (1009, ProviderProtocolError),
        (1011, ProviderUnavailable),
        (1013, ProviderUnavailable),
        (3000, ProviderRejected),
        (3008, ProviderTimeout),
        (4242, ProviderUnavailable),
    ],
)
def test_close_codes(code, kind):
    assert rules.kind_of_close(code) is kind
    assert str(code) in rules.words_of_close(code, "")


def test_a_vendors_own_close_codes_win():
    assert rules.kind_of_close(4000, {4000: ProviderRejected}) is ProviderRejected
    assert rules.kind_of_close(1008, {1008: ProviderUnavailable}) is ProviderUnavailable


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, ProviderProtocolError),
        (302, ProviderProtocolError),
        (400, ProviderRejected),
        (401, ProviderRejected),
        (402, QuotaExceeded),
        (404, ProviderRejected),
        (408, ProviderUnavailable),
        (429, RateLimited),
        (500, ProviderUnavailable),
        (503, ProviderUnavailable),
    ],
)
def test_statuses(status, kind):
    assert rules.kind_of_status(status) is kind
    assert f"HTTP {status}" in rules.words_of_status(status, "")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("insufficient_quota", QuotaExceeded),
        ("You exceeded your current quota, please check your plan and billing details.",
         QuotaExceeded),
        ("Quota exceeded for quota metric 'Requests per minute'", RateLimited),
        ("out_of_credits", QuotaExceeded),
        ("rate_limit_exceeded", RateLimited),
        ("Too many concurrent sessions", RateLimited),
        ("max_active_conversations", RateLimited),
        ("RESOURCE_EXHAUSTED", RateLimited),
        ("invalid frame", None),
        ("conversation_already_has_active_response", None),
    ],
)  # fmt: skip
def test_limits_of_an_account_are_told_by_their_words(words, kind):
    assert rules.kind_of_limit(words) is kind
    assert rules.kind_of_close(1011, reason=words) is (kind or ProviderUnavailable)
    assert rules.kind_of_close(1008, reason=words) is (kind or ProviderRejected)
    assert rules.kind_of_status(429, words) is (kind or RateLimited)
    assert rules.kind_of_status(401, words) is ProviderRejected


@given(st.integers(1, 1000), st.floats(0, 1), st.floats(0, 100))
def test_waits_grow_vary_and_respect_the_server(failures, luck, wanted_s):
    waited_s = rules.wait_s(failures, luck, wanted_s)
    assert waited_s >= wanted_s
    assert waited_s <= max(wanted_s, rules.LONGEST_WAIT_S)
    assert waited_s >= rules.FIRST_WAIT_S / 2
    assert rules.wait_s(failures + 1, luck) >= rules.wait_s(failures, luck)
    assert rules.wait_s(failures, 0.0) < rules.wait_s(failures, 1.0)


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7), ("0", 0), (None, 0), ("Fri, 31 Dec", 0), ("-3", 0), ("٣", 0)]
)
def test_retry_after(value, seconds):
    assert rules.retry_after_s(value) == seconds


@pytest.mark.parametrize(
    ("address", "near"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("172.17.0.2", True),
        ("192.168.1.9", True),
        ("100.64.0.7", True),
        ("169.254.1.1", True),
        ("fe80::1%eth0", True),
        ("fd00::5", True),
        ("8.8.8.8", False),
        ("172.32.0.1", False),
        ("2606:4700::1", False),
        ("::ffff:8.8.8.8", False),
        ("::ffff:127.0.0.1", True),
    ],
)
def test_near_addresses(address, near):
    assert rules.is_near(address) is near


@given(st.text(min_size=4), st.text(), st.text())
def test_no_form_of_a_secret_is_left(secret, before, after):
    for form in (secret, quote(secret, safe=""), quote_plus(secret)):
        if form not in "***":
            cleaned = rules.without_secrets(f"{before}{form}{after}", [secret, ""])
            assert form not in cleaned or form in before + "***" + after
