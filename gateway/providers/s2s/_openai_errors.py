"""Errors of OpenAI's realtime and live protocols: which end a session, and their words.  Pure.

Most errors end nothing: they refuse one event of the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)

_ENDING: Mapping[str, type[ProviderError]] = {
    "invalid_api_key": ProviderRejected,
    "authentication_error": ProviderRejected,
    "permission_error": ProviderRejected,
    "insufficient_quota": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "model_not_found": ProviderRejected,
    "invalid_model": ProviderRejected,
    "beta_api_shape_disabled": ProviderRejected,
    "session_expired": ProviderUnavailable,
    "rate_limit_exceeded": RateLimited,
}
"""By `code` or `type`."""


def ended_by(error: Mapping[str, Any]) -> type[ProviderError] | None:
    """Return how an error ends the session; None = it does not."""
    for key in ("code", "type"):
        word = error.get(key)
        if isinstance(word, str) and word in _ENDING:
            return _ENDING[word]
    return None


def words_of(error: Mapping[str, Any]) -> str:
    """Describe an error in one line, its code first."""
    code, kind, message, parameter = (
        value if isinstance(value, str) else ""
        for value in (error.get(key) for key in ("code", "type", "message", "param"))
    )
    where = f" ({parameter})" if parameter else ""
    return ": ".join(filter(None, (code or kind or "error", message)))[:300] + where
