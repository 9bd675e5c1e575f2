"""MessagePack, for servers that speak it: a package that is installed with its extra only."""

from __future__ import annotations

import importlib.util
from typing import Any

from gateway.errors import ProviderProtocolError
from gateway.installing import pip_install
from gateway.providers.kit.endpoint import Endpoint

_INSTALL = pip_install('"msgpack>=1.1"')


def missing() -> str:
    """Return what hinders its use, empty when nothing does."""
    if importlib.util.find_spec("msgpack") is not None:
        return ""
    return f"package msgpack is missing: {_INSTALL}"


def packed(message: dict[str, object]) -> bytes:
    """Return a message with its numbers as 32-bit floats."""
    import msgpack  # noqa: PLC0415 - of an extra

    found: bytes = msgpack.packb(message, use_single_float=True)
    return found


def unpacked(message: bytes, endpoint: Endpoint) -> dict[str, Any]:
    """Return the fields of a message.  Raises ProviderProtocolError."""
    import msgpack  # noqa: PLC0415 - of an extra

    try:
        found = msgpack.unpackb(message)
    except (ValueError, TypeError, msgpack.UnpackException):
        found = None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        problem = f"{len(message)} bytes came that are no message of MessagePack"
        raise endpoint.error(ProviderProtocolError, problem)
    return found
