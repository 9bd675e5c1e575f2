"""structlog set-up: JSON or console on stderr, call context, one format for libraries too."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

import structlog
from pydantic import SecretStr
from structlog.typing import Processor

from gateway.config.models import LogConfig

_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|secret|api_?-?keys?$|authorization|^((access|auth|refresh|bearer)_)?token$|cookie|credential",
    re.I,
)
_SECRET_TEXT = (
    (re.compile(r"((?:proxy-)?authorization\s*:\s*)[^\r\n]+", re.I), r"\1***"),
    (re.compile(r"(\bbearer\s+)[\w.~+/=-]+", re.I), r"\1***"),
    (re.compile(r"\bsk-[\w-]{8,}"), "sk-***"),
)
_CHATTY = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "asyncio", "uvicorn", "websockets")
_PRIVATE = ("sqlalchemy", "alembic", "psycopg")
"""They tell statements with their values, which are people's numbers and words: at no level."""
_HIDDEN = "***"
_MAX_DEPTH = 6
_LONG_ENOUGH = 6
_LEAST_LETTERS = 5


_values: list[str] = []
"""Secrets of this process's configuration, the longest first; hidden wherever they stand."""


def hide_in_logs(secrets: Iterable[str]) -> None:
    """Leave these secrets out of every line from now on, whatever writes them.

    Those that are too short are not: they would be found in everything.
    """
    found = {part for secret in secrets for part in _parts(secret) if len(part) >= _LEAST_LETTERS}
    _values[:] = sorted(found.union(_values), key=len, reverse=True)


def _parts(secret: str) -> Iterator[str]:
    """Yield it, and the password in it where it is a URL, as written and decoded."""
    yield secret
    try:
        password = urlsplit(secret).password or ""
    except ValueError:
        return
    yield password
    yield unquote(password)


def configure_logging(config: LogConfig, stream: TextIO | None = None, **context: str) -> None:
    """Set up structlog and stdlib logging of this process.  Call once, at start.

    Args:
        config: level, and format; `auto` = console on a terminal, else JSON lines.
        stream: where to; stderr when not given.
        context: bound to every line of this process, e.g. `worker="0"`.
    """
    out = sys.stderr if stream is None else stream
    is_console = config.format == "console" or (config.format == "auto" and out.isatty())
    shared = _shared_processors()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(shared, is_console=is_console, colors=out.isatty()))
    _route_stdlib(handler, config.level.upper())
    structlog.contextvars.bind_contextvars(**context)


def call_context(**context: str) -> AbstractContextManager[None]:
    """Bind `call_id`, `trunk`, ... to every log line within the `with` block of this task."""
    return structlog.contextvars.bound_contextvars(**context)


def masked(party: str) -> str:
    """Return of a number or address what tells two of them apart, but not whose it is.

    A log cannot be searched for one person's traces and cleared of them: the record has it all.
    """
    user, at, host = party.rpartition("@")
    if at:
        return f"{masked(user)}@{host}"
    return f"...{party[-3:]}" if len(party) >= _LONG_ENOUGH else "..." if party else ""


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Hide passwords, keys and tokens, by key name at any depth and by their look in texts."""
    for key, value in event.items():
        event[key] = _redacted(key, value, _MAX_DEPTH)
    return event


def _redacted(key: str, value: Any, depth: int) -> Any:  # noqa: ANN401 - any log value
    if isinstance(value, SecretStr) or (_SECRET_KEY.search(key) and value not in (None, "")):
        return _HIDDEN
    if isinstance(value, str):
        return _redacted_text(value)
    if depth == 0:
        return _HIDDEN
    if isinstance(value, Mapping):
        return {item: _redacted(str(item), value[item], depth - 1) for item in value}
    if isinstance(value, list | tuple):
        return [_redacted("", item, depth - 1) for item in value]
    return value


def _redacted_text(text: str) -> str:
    for value in _values:
        if value in text:
            text = text.replace(value, _HIDDEN)
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        redact,
    ]


def _formatter(
    shared: list[Processor], *, is_console: bool, colors: bool
) -> structlog.stdlib.ProcessorFormatter:
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        # a traceback holds no local variables: they could be secrets or audio
        structlog.processors.format_exc_info,
        redact,
    ]
    if is_console:
        plain = structlog.dev.plain_traceback
        last.append(structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain))
    else:
        last.append(structlog.processors.JSONRenderer(default=str, ensure_ascii=True))
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)


def _route_stdlib(handler: logging.Handler, level: str) -> None:
    """Send everything through the one handler; libraries that chatter only when asked for."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "openai", "httpx"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in _PRIVATE:
        logging.getLogger(name).setLevel("WARNING")
    for name in _CHATTY:
        logging.getLogger(name).setLevel("INFO" if level == "DEBUG" else "WARNING")
    logging.captureWarnings(capture=True)
