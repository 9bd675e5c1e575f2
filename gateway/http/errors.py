"""GatewayError -> HTTP status and `{"error": {"code", "message"}}`, one table."""

from __future__ import annotations

import re
from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway import errors
from gateway.wording import plain

_STATUS: tuple[tuple[type[errors.GatewayError], int], ...] = (
    (errors.ConfigError, 422),
    (errors.CallNotFound, 404),
    (errors.NoCallSlot, 503),
    (errors.SipError, 502),  # the far side refused; its own status is in the message
    (errors.NoMedia, 504),
    (errors.ProviderTimeout, 504),
    (errors.ProviderUnavailable, 503),
    (errors.ProviderError, 502),
    (errors.ToolError, 502),
)
_RETRY_AFTER_S = 5


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str
    """Snake-case word for programs."""
    message: str
    """For people."""


class ErrorBody(BaseModel):
    """Body of every answer that is not 2xx."""

    error: ErrorDetail


def status_and_code(error: errors.GatewayError) -> tuple[int, str]:
    """Return the HTTP status of an error and its code word."""
    if isinstance(error, errors.CommandError):
        status = error.status if 400 <= error.status <= 599 else 500
        return status, _COMMAND_CODES.get(status, "command_failed")
    if isinstance(error, errors.OutgoingRefused):
        return error.status, "outgoing_refused"
    word = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500), word


_COMMAND_CODES = {
    400: "bad_command",
    404: "not_found",
    409: "conflict",
    422: "invalid_request",
    503: "unavailable",
    504: "timeout",
}


def error_response(status: int, code: str, message: str) -> JSONResponse:
    """Return the answer for one error."""
    body = ErrorBody(error=ErrorDetail(code=code, message=message))
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if status in {429, 503} else None
    return JSONResponse(body.model_dump(), status_code=status, headers=headers)


def install_error_answers(app: FastAPI) -> None:
    """Make every error of `app` answer in the one form."""
    app.add_exception_handler(errors.GatewayError, _gateway_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _crashed)


async def _gateway_error(_request: Request, error: Exception) -> JSONResponse:
    status, code = status_and_code(cast("errors.GatewayError", error))
    return error_response(status, code, str(error))


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    faults = cast("RequestValidationError", error).errors()
    message = "; ".join(f"{_place(fault['loc'])}: {plain(fault)}" for fault in faults)
    return error_response(422, "invalid_request", message)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    failed = cast("HTTPException", error)
    code = {404: "not_found", 405: "method_not_allowed"}.get(failed.status_code, "http_error")
    response = error_response(failed.status_code, code, str(failed.detail))
    response.headers.update(failed.headers or {})
    return response


async def _crashed(_request: Request, _error: Exception) -> JSONResponse:
    return error_response(500, "internal_error", "internal error, see the gateway's log")


def _place(location: tuple[int | str, ...]) -> str:
    """Name the key at fault, without FastAPI's own first word (body, query, path)."""
    return ".".join(map(str, location[1:])) or str(location[0])
