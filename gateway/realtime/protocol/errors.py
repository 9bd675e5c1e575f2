"""Errors of the protocol: told to the client in an `error` event, the session goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError


class ProtocolError(Exception):
    """A client's event that cannot be done."""

    def __init__(
        self,
        message: str,
        code: str = "invalid_value",
        param: str | None = None,
        *,
        kind: str = "invalid_request_error",
        event_id: str | None = None,
    ) -> None:
        """Say what is wrong.

        Args:
            message: for a person, with the likely cure.
            code: for the program; those that clients know are in `provider-protocols` section 1.7.
            param: path of the field, such as `session.audio.input.format`.
            kind: `invalid_request_error` or `server_error`.
            event_id: of the event, where the client has sent one.
        """
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind
        self.event_id = event_id


def fault_of(error: ValidationError, prefix: str = "") -> ProtocolError:
    """Return the first fault that a model has found, as the protocol words it."""
    faults = error.errors(include_url=False)
    first = faults[0]
    path = _path(first["loc"], prefix)
    if first["type"] == "missing":
        return ProtocolError(
            f"Missing required parameter: '{path}'.", "missing_required_parameter", path
        )
    if first["type"] in {"literal_error", "union_tag_invalid"}:
        expected = first.get("ctx", {}).get("expected") or first.get("ctx", {}).get("expected_tags")
        given = shown(first.get("input"))
        text = f"Invalid value: {given}. Supported values are: {expected}."
        return ProtocolError(text, "invalid_value", path)
    kind = "invalid_type" if first["type"].endswith("_type") else "invalid_value"
    return ProtocolError(f"Invalid '{path}': {first['msg']}.", kind, path)


def shown(value: Any) -> str:  # noqa: ANN401 - whatever a client has sent
    """Return a value of a client as a message may show it: short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _path(loc: Sequence[int | str], prefix: str) -> str:
    """Name a field; tags of unions, which pydantic puts between, are left out."""
    path = prefix
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif "/" not in part and part not in _TAGS:
            path += f".{part}" if path else part
    return path


_TAGS = frozenset({
    "message", "function_call", "function_call_output", "server_vad", "semantic_vad", "function",
    "mcp", "constrained-str", "constrained-int", "int", "str", "item_reference", "session.update",
})  # fmt: skip
