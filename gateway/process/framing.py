"""JSON lines on the control socket: framing with a size limit, and errors as values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from gateway import errors
from gateway.process.messages import ErrorReply
from gateway.records.model import cleaned

log = structlog.get_logger(__name__)

COMMAND_LIMIT_BYTES = 64 * 1024
"""Longest line down."""
ANSWER_LIMIT_BYTES = 8 * 1024 * 1024
"""Longest line up: metrics, a call of many turns."""

_SIP_KINDS: dict[str, type[errors.SipError]] = {
    kind.__name__: kind
    for kind in (
        errors.SipError,
        errors.RegistrationFailed,
        errors.CallRejected,
        errors.CallNotFound,
        errors.NoCallSlot,
        errors.TransferFailed,
        errors.OutgoingRefused,
    )
}


def to_line(message: BaseModel) -> bytes:
    """Return one message as one line."""
    try:
        return message.model_dump_json(fallback=str).encode() + b"\n"
    except PydanticSerializationError:  # lone surrogates of a SIP header
        return to_json(cleaned(message), fallback=str) + b"\n"


async def read_lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines until the connection ends, breaks, or sends one longer than its limit."""
    while True:
        try:
            yield await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, OSError):
            return
        except asyncio.LimitOverrunError:
            log.warning("control_line_too_long")
            return


def to_error_reply(error: Exception) -> ErrorReply:
    """Describe an error for the other side; one that is not ours tells nothing but its class."""
    if isinstance(error, errors.SipError | errors.CommandError):
        return ErrorReply(kind=type(error).__name__, status=error.status, reason=error.reason)
    if isinstance(error, errors.GatewayError):
        status = 503 if isinstance(error, errors.ProviderError) and error.retryable else 500
        return ErrorReply(kind="CommandError", status=status, reason=str(error))
    reason = f"internal error ({type(error).__name__}), see the worker's log"
    return ErrorReply(kind="CommandError", status=500, reason=reason)


def to_error(reply: ErrorReply) -> errors.GatewayError:
    """Return the error that the other side had."""
    kind = _SIP_KINDS.get(reply.kind)
    if kind is not None:
        return kind(reply.status, reply.reason)
    return errors.CommandError(reply.status, reply.reason)
