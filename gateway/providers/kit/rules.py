"""What a vendor's close code or HTTP status means, when to try again, where to connect.  Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, quote_plus

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 2.0
"""A caller is waiting: what takes longer is left to the fallback."""
_SHOWN_CHARACTERS = 200
_SHARED_NETWORK = ipaddress.ip_network("100.64.0.0/10")
"""RFC 6598: carrier-grade NAT, also used by overlay networks."""

CLOSE_CODES: Mapping[int, type[ProviderError]] = {
    1002: ProviderProtocolError,
    1003: ProviderRejected,
    1007: ProviderProtocolError,
    1008: ProviderRejected,
    1009: ProviderProtocolError,
    1010: ProviderProtocolError,
    3000: ProviderRejected,
    3003: ProviderRejected,
    3008: ProviderTimeout,
}
"""RFC 6455 section 7.4 and the IANA registry; every other code means that it went away."""
_NAMES = {
    1000: "closed normally",
    1001: "going away",
    1002: "protocol error",
    1003: "unacceptable data",
    1005: "no close code",
    1006: "connection lost",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "missing extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
    3000: "unauthorized",
    3003: "forbidden",
    3008: "timeout",
}
_TEMPORARY_STATUS = frozenset({408, 409, 425, 429})
_LIMITING_STATUS = frozenset({403, 429, 503})
_RATE = re.compile(
    r"rate.?limit|per.?(?:second|minute)|too.?many.?(?:\w+.)?(?:requests|sessions|connections)"
    r"|concurren\w+|max.?active|resource.?exhausted|system.?busy",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"quota|billing|payment.?required|out.?of.?credits?|balance"
    r"|insufficient.?(?:credits?|funds)|credits?.?(?:are|is)?.?(?:exhausted|used)",
    re.IGNORECASE,
)


def kind_of_limit(words: str) -> type[ProviderError] | None:
    """Return which limit of the account a vendor's code or message names; None = it names none.

    A rate is looked for first: vendors call that a quota, too ("quota of requests per minute").
    """
    if _RATE.search(words):
        return RateLimited
    return QuotaExceeded if _QUOTA.search(words) else None


def kind_of_close(
    code: int,
    vendor_codes: Mapping[int, type[ProviderError]] | None = None,
    reason: str = "",
) -> type[ProviderError]:
    """Return the error that a close code stands for.

    Args:
        code: the one received; 1005 without a code, 1006 when the connection broke.
        vendor_codes: meanings of a vendor's own codes (4000 to 4999); they win.
        reason: as received; where it names a limit of the account, that is the error.
    """
    if limit := kind_of_limit(reason):
        return limit
    return {**CLOSE_CODES, **(vendor_codes or {})}.get(code, ProviderUnavailable)


def words_of_close(code: int, reason: str) -> str:
    """Describe a close in one line."""
    name = f" {_NAMES[code]}" if code in _NAMES else ""
    return f"the connection was closed ({code}{name})" + (f": {reason}" if reason else "")


def kind_of_status(status: int, body: str = "") -> type[ProviderError]:
    """Return the error that the HTTP status of a refused connection stands for.

    Args:
        status: at least 100.
        body: of the response: with 403 and 429 its words tell an empty account from a rate.
    """
    if status < 400:
        return ProviderProtocolError
    if status == 402:
        return QuotaExceeded
    if status in _LIMITING_STATUS and (limit := kind_of_limit(body)):
        return limit
    if status == 429:
        return RateLimited
    if status in _TEMPORARY_STATUS or status >= 500:
        return ProviderUnavailable
    return ProviderRejected


def words_of_status(status: int, body: str) -> str:
    """Describe a refused connection, with what to check."""
    cure = {
        401: ": check api_key",
        402: ": check the balance of the account",
        403: ": check api_key and what it may be used for",
        404: ": check base_url and model",
        429: ": over a limit, check those of the account",
    }.get(status, ": is base_url right?" if status < 400 else "")
    shown = " ".join(body.split())
    return f"the server refused the connection with HTTP {status}{cure}" + (
        f" ({shown[:_SHOWN_CHARACTERS]})" if shown else ""
    )


_REFUSED: Sequence[tuple[re.Pattern[str], str]] = (
    (
        re.compile(r"\bkeys?\b|api.?key|credential|unauthori[sz]ed|authenticat|token", re.I),
        "api_key",
    ),
    (re.compile(r"voice", re.I), "voice"),
    (re.compile(r"language|locale", re.I), "language"),
    (re.compile(r"sample.?rate|encoding|audio.?format|decod", re.I), "encoding and sample rate"),
    (re.compile(r"model", re.I), "model"),
)
"""What a vendor's refusal speaks of, and the setting to look at, the first that fits."""


def cure_of(kind: type[ProviderError], words: str) -> str:
    """Return what to do about an error, where its words do not say so themselves."""
    if "check " in words or "right?" in words:
        return ""
    if issubclass(kind, QuotaExceeded):
        return "check the balance of the account"
    if issubclass(kind, RateLimited):
        return "check the limits of the account"
    if not issubclass(kind, ProviderRejected):
        return ""
    return next((f"check {what}" for speaks_of, what in _REFUSED if speaks_of.search(words)), "")


def wait_s(failures: int, luck: float, retry_after_s: float = 0.0) -> float:
    """Return how long to wait before the next attempt; more than `LONGEST_WAIT_S` = give up.

    Args:
        failures: attempts that failed so far, at least 1.
        luck: a random number, 0 to 1: gateways that lost one server must not return in step.
        retry_after_s: what the server asked for.
    """
    usual_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 16))
    return max(retry_after_s, usual_s * (0.5 + 0.5 * luck))


def retry_after_s(value: str | None) -> float:
    """Read the seconds of a `Retry-After` header; 0 where there is none that can be read."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else 0.0


def is_near(address: str) -> bool:
    """Return whether audio may travel to an IP address without TLS: this host, or a private net."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    near = mapped or found
    is_shared = isinstance(near, ipaddress.IPv4Address) and near in _SHARED_NETWORK
    return near.is_loopback or near.is_private or near.is_link_local or is_shared


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret, also as it is written in a URL."""
    forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""),
             quote_plus(secret))}  # fmt: skip
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text
