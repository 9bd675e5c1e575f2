"""What a language model server's complaint means: try again, give up, or ask with less.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from gateway.errors import (
    ContextExceeded,
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)

FINAL_CODES = frozenset({
    "insufficient_quota",
    "invalid_request_error",
    "invalid_api_key",
    "invalid_prompt",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "model_not_found",
    "content_filter",
})  # fmt: skip
"""Error codes and types that another try does not change, whatever their status."""
_QUOTA_CODES = frozenset({
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_error",  # Anthropic
    "credits_exhausted",
})  # fmt: skip
_QUOTA = re.compile(
    r"credit balance is too low|insufficient (?:credits?|balance|funds)|out of credits"
    r"|payment required",
    re.IGNORECASE,
)
_RATE_CODES = frozenset({"rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"})
_AGAIN_CODES = frozenset({"tool_use_failed"})
"""What another try may change, whatever the status is.  Groq: the model has written a call that its
server cannot read."""
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT = re.compile(
    r"context (?:length|window|size)|maximum (?:context|prompt|input)|(?:prompt|input) is too long"
    r"|too many (?:input )?tokens|exceeds? the (?:available|model'?s?|maximum) |reduce the length"
    r"|longer than the maximum model length|max_model_len|n_ctx|num_ctx",
    re.IGNORECASE,
)
_TEMPORARY = frozenset({408, 409, 425, 429})


def kind_of(status: int, code: object, type_: object, message: str) -> type[ProviderError]:
    """Return the kind of an error.

    Args:
        status: HTTP's, or the one in the error's body; 0 = none.
        code: of the error object.
        type_: the same.
        message: its words.
    """
    names = {str(code), str(type_)}
    if names & _CONTEXT_CODES or (status in {0, 400, 413, 422, 500} and _CONTEXT.search(message)):
        return ContextExceeded
    if names & _QUOTA_CODES or status == 402 or _QUOTA.search(message):
        return QuotaExceeded
    if names & FINAL_CODES and not names & _AGAIN_CODES:
        return ProviderRejected
    if status == 429 or names & _RATE_CODES:
        return RateLimited
    passes = names & _AGAIN_CODES or status in _TEMPORARY or status >= 500 or status == 0
    return ProviderUnavailable if passes else ProviderRejected


def kind_of_body(error: dict[str, object]) -> type[ProviderError]:
    """Return the kind of an error object under status 200."""
    found = next((error[key] for key in ("code", "status") if _is_status(error.get(key))), 0)
    status = int(str(found))
    return kind_of(status, error.get("code"), error.get("type"), str(error.get("message")))


def words_of(error: dict[str, object]) -> str:
    """Describe an error object in one line."""
    extra = [str(error[key]) for key in ("type", "code", "status") if error.get(key)]
    metadata = error.get("metadata")  # OpenRouter: what the provider behind it has said
    if isinstance(metadata, dict):
        extra += [str(metadata[key]) for key in ("provider_name", "raw") if metadata.get(key)]
    named = f"({', '.join(dict.fromkeys(extra))})" if extra else ""
    return " ".join(filter(None, (str(error.get("message") or ""), named)))


_CURES = {
    401: "check api_key",
    402: "the account has nothing left: pay, or raise its quota",
    403: "check api_key and what it may be used for",
    404: "check model and base_url",
    429: "over a limit of the account",
}


def words_of_status(status: int, error: dict[str, object], body: str) -> str:
    """Describe a refusal in one line, with what to check.

    Args:
        status: HTTP's.
        error: the error object in the body; empty = none.
        body: whatever it is.
    """
    cure = _CURES.get(status, "a redirection: is base_url right?" if status < 400 else "")
    if "invalid_api_key" in {error.get("type"), error.get("code")}:
        cure = _CURES[401]
    said = words_of(error) if error else _title_of(body) or " ".join(body.split())[:120]
    return ": ".join(filter(None, (", ".join(filter(None, (f"HTTP {status}", cure))), said)))


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Read how long a server asks to wait, in seconds; 0 = it does not.

    `retry-after-ms` (Azure), and `Retry-After` in both forms of RFC 9110 section 10.2.3: the date
    is compared with the server's own clock, its `Date`.
    """
    for header, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(header, "")
        try:
            wanted_s = float(value) * unit_s
        except ValueError:
            wanted_s = _seconds_until(value, headers.get("date", ""))
        if 0 < wanted_s < float("inf"):
            return wanted_s
    return 0.0


def _seconds_until(date: str, now: str) -> float:
    try:
        return (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError):  # one of them has no time zone
        return 0.0


def strange_body(body: str) -> tuple[type[ProviderError], str]:
    """Return the kind and description of a body that is neither a stream nor JSON."""
    if re.match(r"\s*<(?:!doctype|html|head|body)", body, re.IGNORECASE):
        what = f" ({title})" if (title := _title_of(body)) else ""
        problem = f"a web page instead of an answer{what}: is base_url right?"
        return ProviderProtocolError, problem
    return (
        ProviderProtocolError,
        f"not the stream that was asked for ({' '.join(body.split())[:120]})",
    )


def _title_of(page: str) -> str:
    found = re.search(r"<title[^>]*>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def _is_status(value: object) -> bool:
    return str(value).isdigit() and 100 <= int(str(value)) < 600  # HTTP's range
