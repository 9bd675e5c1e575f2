"""What a session needs of the call behind it.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.call.steering import Steer
from gateway.providers.contracts import ToolSpec
from gateway.realtime.protocol.server_events import Limit
from gateway.realtime.protocol.settings import FunctionTool, SessionSettings


class CallPort(Protocol):
    """The call behind a session."""

    def hear(self, audio: bytes) -> float:
        """Take audio in the client's input format; return its length in ms.

        Raises:
            ProtocolError: it cannot be such audio.
        """

    def ask(self, asked: Steer) -> None:
        """Have something done by the conversation, in order; it begins with the first."""

    def configure(self, settings: SessionSettings, *, is_first: bool) -> SessionSettings:
        """Take settings; return them as they are in effect.

        Raises:
            ProtocolError: they are not possible with this agent; nothing has changed.
        """

    def limits(self) -> Sequence[Limit]:
        """Return what is left of the agent's limits."""

    @property
    def position_ms(self) -> int:
        """How much audio the client has sent so far."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What does not change."""

    id: str
    model: str
    """Name of the agent."""
    expires_at: int
    """Seconds since 1970."""


def specs(tools: Sequence[FunctionTool]) -> tuple[ToolSpec, ...]:
    """Return functions as a model gets them."""
    return tuple(ToolSpec(tool.name, tool.description, dict(tool.parameters)) for tool in tools)
