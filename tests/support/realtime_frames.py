"""Server events of the realtime API, judged by the types of OpenAI's own SDK."""

from __future__ import annotations

import json
from typing import Any

from openai.types.realtime import RealtimeServerEvent

from tests.support.openai_double import fault_of

ADDED = {"id", "object", "expires_at"}
"""Fields of a session that the vendor's types of events lack, and its server sends."""


def fault(event: dict[str, Any]) -> str:
    """Return what is wrong with a server event by the vendor's types."""
    found = json.loads(json.dumps(event))
    if isinstance(found.get("session"), dict):
        for name in ADDED:
            found["session"].pop(name, None)
    return fault_of(RealtimeServerEvent, found)
