"""structlog set-up: JSON or console on stderr, call context, one format for libraries too."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

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
_CHATTY = ("httpx", "httpcore", "openai", "asyncio", "uvicorn.access")
_HIDDEN = "***"
_MAX_DEPTH = 6


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
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if is_console:
        last.append(structlog.dev.ConsoleRenderer(colors=colors))
    else:
        # a traceback holds no local variables: they could be secrets or audio
        last.append(structlog.processors.format_exc_info)
        last.append(redact)
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
    for name in _CHATTY:
        logging.getLogger(name).setLevel("INFO" if level == "DEBUG" else "WARNING")
    logging.captureWarnings(capture=True)
