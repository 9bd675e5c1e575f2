"""What a language model server's complaint means: try again, give up, or ask with less.  Pure."""

from __future__ import annotations

import re

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
    "authentication_error",
    "permission_error",
    "not_found_error",
    "model_not_found",
    "content_filter",
})  # fmt: skip
"""Error codes and types that another try does not change, whatever their status."""
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
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
    if names & _QUOTA_CODES or status == 402:
        return QuotaExceeded
    if names & FINAL_CODES:
        return ProviderRejected
    if status == 429 or "rate_limit_exceeded" in names:
        return RateLimited
    if status in _TEMPORARY or status >= 500 or status == 0:
        return ProviderUnavailable
    return ProviderRejected


def kind_of_body(error: dict[str, object]) -> type[ProviderError]:
    """Return the kind of an error object under status 200."""
    found = next((error[key] for key in ("code", "status") if _is_status(error.get(key))), 0)
    status = int(str(found))
    return kind_of(status, error.get("code"), error.get("type"), str(error.get("message")))


def words_of(error: dict[str, object]) -> str:
    """Describe an error object in one line."""
    extra = [str(error[key]) for key in ("type", "code") if error.get(key)]
    return " ".join(filter(None, (str(error.get("message") or ""), f"({', '.join(extra)})")))


def strange_body(body: str) -> tuple[type[ProviderError], str]:
    """Return the kind and description of a body that is neither a stream nor JSON."""
    title = re.search(r"<title[^>]*>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
    if re.match(r"\s*<(?:!doctype|html|head|body)", body, re.IGNORECASE):
        what = f" ({' '.join(title[1].split())})" if title else ""
        problem = f"a web page instead of a chat completion{what}: is base_url right?"
        return ProviderProtocolError, problem
    return ProviderProtocolError, f"not a chat completion stream ({' '.join(body.split())[:120]})"


def _is_status(value: object) -> bool:
    return str(value).isdigit() and 100 <= int(str(value)) < 600  # HTTP's range
