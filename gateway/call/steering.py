"""How a client of a call, such as a realtime session, sets its conversation, asks and follows it.

A telephone call has no such client: its `Terms` are the defaults.  What a client asks for goes
through the inbox of the call, in the order of everything else that happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.call.events import Event
from gateway.providers.contracts import Message, ToolCall, ToolResult, ToolSpec


@dataclass(slots=True)
class Terms:
    """How the conversation goes, until the client changes it."""

    greets: bool = True
    """The agent speaks first."""
    answers: bool = True
    """A caller's turn is answered as soon as it is over; else when the client asks for it."""
    speaks: bool = True
    """Answers are spoken; else written."""
    tools: tuple[ToolSpec, ...] = ()
    """Functions that the client runs, beside the agent's own."""

    def runs(self, name: str) -> bool:
        """Return whether the client runs the function of this name."""
        return any(tool.name == name for tool in self.tools)


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """What one answer has of its own; None = as everything else."""

    instructions: str | None = None
    messages: tuple[Message, ...] | None = None
    """Answered instead of the history."""
    tools: tuple[ToolSpec, ...] | None = None
    """Offered instead of the agent's and the client's."""
    speaks: bool | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer what the history ends with, now."""

    request: AnswerRequest = field(default_factory=AnswerRequest)


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """Break off the answer in progress, or the one that is due."""


@dataclass(frozen=True, slots=True)
class AnswerAside:
    """Answer beside the conversation: nothing of it is spoken or remembered."""

    key: str
    """The client's, passed back with each part."""
    request: AnswerRequest


@dataclass(frozen=True, slots=True)
class CancelAside:
    """Break off such an answer."""

    key: str


@dataclass(frozen=True, slots=True)
class TurnsTaken:
    """Decide about turns in this way from now on; None = as the agent is configured."""

    by_client: bool
    """A turn begins with the client's audio and ends with `CommitTurn`."""
    interrupts: bool = True
    """The caller may take the floor from the bot by speaking."""
    eagerness: str | None = None
    silence_ms: int | None = None
    """Silence alone ends a turn."""
    threshold: float | None = None
    """Probability from which a sound is speech."""


@dataclass(frozen=True, slots=True)
class BeginTurn:
    """The client's audio begins."""


@dataclass(frozen=True, slots=True)
class CommitTurn:
    """The turn in progress is over: understand it."""


@dataclass(frozen=True, slots=True)
class ClearTurn:
    """The turn in progress is none."""


@dataclass(frozen=True, slots=True)
class Instructed:
    """Answer by these instructions from now on."""

    instructions: str
    """Empty = those of the agent."""
    added: str = ""
    """Follows them."""


@dataclass(frozen=True, slots=True)
class MessagesAdded:
    """Append to the history."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class HistoryChanged:
    """This is the history from now on."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """The client has run a function."""

    result: ToolResult


Steer = (
    Answer | CancelAnswer | AnswerAside | CancelAside | TurnsTaken | BeginTurn | CommitTurn
    | ClearTurn | Instructed | MessagesAdded | HistoryChanged | ToolReturned
)  # fmt: skip
"""What a client may ask of a conversation."""


@dataclass(frozen=True, slots=True)
class ClientAsks:
    """A client of the call asks for something."""

    asked: Steer


@dataclass(frozen=True, slots=True)
class BotTurnEnd:
    """How a bot turn has ended."""

    heard: str
    """What the caller has heard, or read, of it."""
    messages: tuple[Message, ...]
    """What the history has of it."""
    is_cut: bool
    cause: str = ""
    """Of the cut: `speech`, `client`, ..."""
    problem: str = ""
    """Why its engine failed."""


class CallObserver(Protocol):
    """Follows a call.  Never waits, never raises."""

    def noted(self, event: Event) -> None:
        """Accept an event of the call, as it is recorded."""

    def caller_is_heard(self) -> None:
        """The caller speaks over the bot: it may be an interruption (after `BargeInSuspected`)."""

    def bot_turn_began(self) -> None:
        """The bot has taken the floor, to answer or to speak unasked."""

    def bot_wrote(self, text: str) -> None:
        """A piece of an answer that is written, not spoken."""

    def bot_turn_over(self, end: BotTurnEnd) -> None:
        """The bot has given up the floor."""

    def tool_handed_over(self, call: ToolCall) -> None:
        """The client is to run a function; the answer ends with it."""

    def aside(self, key: str, text: str, calls: Sequence[ToolCall]) -> None:
        """A part of an answer beside the conversation."""

    def aside_over(self, key: str, problem: str, *, is_cancelled: bool) -> None:
        """Such an answer is over."""

    def spent(self, input_tokens: int, output_tokens: int) -> None:
        """A language model was paid; negative numbers correct what was said before."""
