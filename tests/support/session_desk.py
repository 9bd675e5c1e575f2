"""A realtime session without a call: what it asks for is kept, what it sends is judged."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from gateway.audio.format import AudioFormat
from gateway.call.steering import Steer
from gateway.realtime.formats import format_of
from gateway.realtime.ports import SessionFacts
from gateway.realtime.protocol.errors import ProtocolError
from gateway.realtime.protocol.server_events import Limit
from gateway.realtime.protocol.settings import SessionSettings
from gateway.realtime.session import RealtimeSession
from tests.support.realtime_frames import fault


class SessionDesk:
    """Satisfies `CallPort`."""

    def __init__(self) -> None:
        self.asked: list[Steer] = []
        self.sent: list[dict[str, Any]] = []
        self.position_ms = 0
        self.format = AudioFormat(24000)
        numbers = itertools.count(1)
        self.session = RealtimeSession(
            SessionFacts("sess_0123456789abcdef", "desk", 1_900_000_000), self, self._send,
            lambda kind: f"{kind}_{next(numbers)}",
        )  # fmt: skip

    def _send(self, event: dict[str, Any]) -> None:
        assert not fault(event), fault(event)
        self.sent.append(event)

    def hear(self, audio: bytes) -> float:
        if len(audio) % self.format.sample_bytes:
            raise ProtocolError("odd", "invalid_value", "audio")
        ms = self.format.seconds(audio) * 1000
        self.position_ms += round(ms)
        return ms

    def ask(self, asked: Steer) -> None:
        self.asked.append(asked)

    def configure(self, settings: SessionSettings, *, is_first: bool) -> SessionSettings:
        del is_first
        self.format = format_of(settings.audio.input.format)
        if settings.audio.output.voice:
            return settings
        output = settings.audio.output.model_copy(update={"voice": "desk"})
        audio = settings.audio.model_copy(update={"output": output})
        return settings.model_copy(update={"audio": audio})

    def limits(self) -> Sequence[Limit]:
        return [Limit("requests", 300, 299, 0.0)]

    def do(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Send a client event; return what came of it."""
        before = len(self.sent)
        self.session.accept({"type": kind, **fields})
        return self.sent[before:]

    def kinds(self, since: int = 0) -> list[str]:
        return [event["type"] for event in self.sent[since:]]
