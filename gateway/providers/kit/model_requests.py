"""Requests to language models over HTTP: addresses, bodies, limits of time, refusals."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from gateway.providers.failures import retry_after_s

_TWINS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""OpenAI's older and newer name of the same: newer models refuse one, older servers the other."""


class RefusalError(Exception):
    """A server has answered with another status than 200.  Its text may hold keys."""

    def __init__(
        self, status_code: int, headers: Mapping[str, str], body: str, error: dict[str, object]
    ) -> None:
        self.status_code = status_code
        self.retry_after_s = _number(error.get("retry_after_s")) or retry_after_s(headers)
        self.body = body
        self.error = error
        """The error object in the body; empty where there is none."""
        super().__init__(f"HTTP {status_code}")

    @property
    def named(self) -> str:
        """Return everything that may name what was refused."""
        return " ".join(
            str(self.error.get(key, "")) for key in ("param", "code", "type", "message")
        )


class Refused:
    """Settings that a server was seen to refuse: they are left out from then on.

    Models of one vendor differ: reasoning models take no temperature, older servers no
    `stream_options`.  A call must not fail for that.
    """

    def __init__(self, optional: Sequence[str]) -> None:
        self._optional = optional
        self._renamed: set[str] = set()
        self._left_out: set[str] = set()

    def left_of(self, body: Mapping[str, object]) -> dict[str, object]:
        """Return a request without them."""
        left = {}
        for key, value in body.items():
            name = _TWINS[key] if key in self._renamed else key
            if name not in self._left_out:
                left[name] = value
        return left

    def learn(self, refusal: RefusalError) -> str:
        """Return the setting that is done without from now on; empty = none was named."""
        if refusal.status_code not in {400, 422}:
            return ""
        for key in self._optional:
            name = _TWINS[key] if key in self._renamed else key
            if name in self._left_out or not re.search(rf"\b{name}\b", refusal.named):
                continue
            if key in _TWINS and key not in self._renamed:
                self._renamed.add(key)
            else:
                self._left_out.add(name)
            return name
        return ""


class Patience:
    """Until when something must have come."""

    def __init__(self, first_token_timeout_s: float, stall_timeout_s: float) -> None:
        self._first_s = first_token_timeout_s
        self._stall_s = stall_timeout_s
        self._time = asyncio.get_running_loop().time
        self._is_thinking = False
        self.until = self._time() + first_token_timeout_s
        self.is_taken = False
        """The server has begun to work at the request, so that its input is paid for."""

    def has_thought(self) -> None:
        """Accept a thought: no answer, but a sign of life."""
        self._is_thinking = True
        self.until = self._time() + max(self._first_s, self._stall_s)

    def has_content(self) -> None:
        """Accept something of the answer."""
        self.until = self._time() + self._stall_s

    def problem(self, *, has_content: bool) -> str:
        """Describe that nothing came."""
        if has_content:
            return f"stalled in mid-answer for {self._stall_s:g} s"
        if self._is_thinking:
            return f"stalled in mid-thought for {self._first_s:g} s"
        return f"no first token within {self._first_s:g} s"


def address(base_url: str) -> tuple[Callable[[str], str], str]:
    """Return what makes a URL of a path below `base_url`, and the server's name for messages.

    A query stays (Azure's `?api-version=`) but for the name, which has no credentials either.
    """
    parts = urlsplit(base_url)

    def url(path: str) -> str:
        below, _, more = path.partition("?")
        query = "&".join(filter(None, (parts.query, more)))
        whole = parts._replace(path=parts.path.rstrip("/") + below, query=query, fragment="")
        return urlunsplit(whole)

    return url, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def encoded(body: Mapping[str, object]) -> bytes:
    """Return a request as JSON in UTF-8; halves of surrogate pairs, which no server takes, as `?`.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
