"""Every secret in a configuration, so that what tells of it can leave them out.  Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from gateway.config.engine_table import EngineTable


def secrets_of(value: object) -> Iterator[str]:
    """Yield every secret at any depth: `SecretStr`, HTTP headers of engines, passwords in URLs."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, str):
        yield from _in_url(value)
    elif isinstance(value, BaseModel):
        inside = value.rest() if isinstance(value, EngineTable) else [item for _, item in value]
        yield from secrets_of(inside)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "headers" and isinstance(item, dict):
                yield from map(str, item.values())
            yield from secrets_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secrets_of(item)


def _in_url(text: str) -> Iterator[str]:
    """Yield a URL with a password, and what a client sends of it (RFC 7617)."""
    try:
        url = urlsplit(text)
    except ValueError:
        return
    if url.scheme and url.password:
        yield text
        pair = f"{unquote(url.username or '')}:{unquote(url.password)}"
        yield base64.b64encode(pair.encode()).decode()
