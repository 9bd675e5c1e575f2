"""What a worker of realtime sessions does besides."""

from __future__ import annotations

from collections.abc import Callable

from gateway.config.dialplans import Talk
from gateway.dialplan.router import Route
from gateway.process.worker import Worker
from gateway.realtime.line import RealtimeLine
from gateway.realtime.link import RealtimeLink, SessionOpening
from gateway.realtime.protocol.errors import ProtocolError
from gateway.realtime.protocol.server_events import ServerEvent

RULE = "realtime"
"""What the record of a session names as the rule that took it."""


class RealtimeWorker(Worker):
    """Satisfies `SessionSink`."""

    @property
    def default_agent(self) -> str:
        """Name of the agent for a client that names none."""
        return self._service.plan.default_agent

    def open_session(
        self,
        line: RealtimeLine,
        opening: SessionOpening,
        send: Callable[[ServerEvent], None],
    ) -> RealtimeLink:
        """Begin a session and its call.  Raises ProtocolError."""
        service = self._service
        agents = service.agents.by_name
        if opening.agent not in agents:
            known = ", ".join(sorted(agents))
            text = f"The model '{opening.agent}' does not exist. There are: {known}."
            raise ProtocolError(text, "model_not_found", "model")
        link = RealtimeLink(line, agents, opening, send)
        sip = service.config.sip
        limits = sip.model_copy(update={"max_call_s": opening.max_session_s})
        where = Route("", "", (Talk(agent=opening.agent),), RULE)
        self._calls.begin(line, where, service, link.flow, limits)
        return link
