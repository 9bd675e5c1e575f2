"""ClientConnection: one client on its WebSocket, from handshake to close."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from gateway.allowance import Allowance
from gateway.call.line import CallFacts
from gateway.config.models import RealtimeConfig
from gateway.realtime.beta import Dialect
from gateway.realtime.handoff import Handoff
from gateway.realtime.line import RealtimeLine
from gateway.realtime.link import RealtimeLink, SessionOpening, new_id
from gateway.realtime.protocol import server_events as out
from gateway.realtime.protocol.errors import ProtocolError
from gateway.realtime.protocol.server_events import ServerEvent
from gateway.realtime.protocol.settings import SessionSettings, updated
from gateway.realtime.websocket import WebSocket

log = structlog.get_logger(__name__)


class SessionSink(Protocol):
    """Serves sessions."""

    @property
    def default_agent(self) -> str:
        """Name of the agent for a client that names none."""

    def new_call_id(self) -> str:
        """Make an id for a call."""

    def open_session(
        self,
        line: RealtimeLine,
        opening: SessionOpening,
        send: Callable[[ServerEvent], None],
    ) -> RealtimeLink:
        """Begin a session and its call.

        Raises:
            ProtocolError: there is no such agent, or it cannot be as the client wants it.
        """


class ClientConnection:
    """One client.  Loop thread only."""

    def __init__(
        self,
        handoff: Handoff,
        config: RealtimeConfig,
        sink: SessionSink,
        on_over: Callable[[ClientConnection], None],
    ) -> None:
        """Prepare; pass `socket` to the loop as the protocol of the connection.

        Args:
            handoff: the client.
            config: `[realtime]`.
            sink: serves the session.
            on_over: called when the connection is closed.
        """
        self._handoff = handoff
        self._config = config
        self._sink = sink
        self._on_over = on_over
        self._dialect = Dialect(is_beta=handoff.is_beta)
        self._allowance = Allowance(config.events_per_s, 1.0)
        self._was_refused = False
        self.socket = WebSocket(
            handoff.head.encode("latin-1"), config.max_message_bytes, self._received, self._closed
        )
        self.line: RealtimeLine | None = None
        self.link: RealtimeLink | None = None

    def begin(self) -> None:
        """Open the session: the handshake was made."""
        if not self.socket.is_open:
            return
        session_id = new_id("sess")
        name = self._handoff.agent or self._sink.default_agent
        facts = CallFacts(
            self._sink.new_call_id(), "in", name, "realtime", source=self._handoff.source,
            sip_call_id=session_id,
        )  # fmt: skip
        self.line = line = RealtimeLine(facts, self.socket, self._config.output_lead_ms)
        try:
            opening = SessionOpening(session_id, name, self._settings(), self._config.max_session_s)
            self.link = self._sink.open_session(line, opening, self._send)
        except ProtocolError as problem:
            self.refuse(problem)

    def _settings(self) -> SessionSettings | None:
        kind = "transcription" if self._handoff.intent == "transcription" else "realtime"
        given = dict(self._handoff.settings or {})
        kind = given.get("type", kind)
        if not given and kind == "realtime":
            return None
        return updated(SessionSettings(type=kind), given)

    def refuse(self, problem: ProtocolError, code: int = 1008) -> None:
        """Tell the client why there is no session, and close."""
        self._send({"event_id": new_id("event"), **out.error(problem)})
        self.socket.close(code, problem.code)
        self._closed(problem.code)

    def beat(self) -> None:
        """Let 20 ms pass."""
        if self.link is not None:
            self.link.beat()

    def _received(self, frame: str | bytes) -> None:
        if self.link is None:
            return
        if not self._allowance.spend(asyncio.get_running_loop().time()):
            self._refuse_once()
            return
        self._was_refused = False
        try:
            found = json.loads(frame)
        except (ValueError, RecursionError):
            self.link.receive(frame)  # which answers it
            return
        if not isinstance(found, dict):
            self.link.receive(frame)
            return
        for event in self._dialect.read(found):
            self.link.accept(event)

    def _refuse_once(self) -> None:
        if not self._was_refused:
            self._was_refused = True
            text = f"More than {self._config.events_per_s} events in a second: not done."
            problem = ProtocolError(text, "rate_limit_exceeded", kind="rate_limit_error")
            self._send({"event_id": new_id("event"), **out.error(problem)})

    def _send(self, event: ServerEvent) -> None:
        for told in self._dialect.write(event):
            self.socket.send(_text(told))

    def _closed(self, reason: str) -> None:
        if self.line is not None:
            self.line.disconnected(reason)
        self._on_over(self)


def _text(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=True)
