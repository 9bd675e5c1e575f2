"""Talk: what the parts of one conversation work on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Literal

from gateway.call.control import By
from gateway.call.live_call import LiveCall
from gateway.conversation.agent import Agent
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.dialogue import Dialogue
from gateway.conversation.exchange import Asked
from gateway.conversation.figures import TurnFigures
from gateway.conversation.floor import Floor
from gateway.conversation.keypad import Keypad
from gateway.conversation.listener import Listener
from gateway.conversation.reply import Reply, Source
from gateway.conversation.running_tools import RunningTools
from gateway.conversation.voice import pieces_of
from gateway.providers.contracts import Expect, Trait

EndedBy = Literal["bot_hung_up", "transferred", "silence", "failed"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How the talk ended."""

    reason: EndedBy
    text: str = ""


@dataclass(frozen=True, slots=True)
class AgentChange:
    """Another agent goes on with the call."""

    agent: str
    by: By
    language: str = ""
    """BCP 47; empty = as before, where the agent speaks it."""


@dataclass(slots=True)
class Talk:
    """One conversation: its parts, and the state that they share."""

    call: LiveCall
    agent: Agent
    context: ChatContext
    listener: Listener
    floor: Floor
    keypad: Keypad
    tools: RunningTools
    dialogue: Dialogue = field(init=False)
    expected: Expect = field(default_factory=Expect)
    """What was asked of the caller."""
    ending: Ending | AgentChange | None = None
    """Set once it is over but for the bot's last words, and the caller's if an agent follows."""
    instructions: str = ""
    """As configured, filled in, without the aside."""
    aside: str = ""
    """One line behind them, about the caller."""
    on_traits: Callable[[tuple[Trait, ...]], None] = lambda _: None
    """Takes what engines report of the caller's voice."""
    muted_for: set[str] = field(default_factory=set)
    """Why no one is listened to."""

    def use(self, dialogue: Dialogue) -> None:
        """Understand and answer by this from now on."""
        self.dialogue = dialogue
        self.listener.hearing = dialogue.hearing

    def instruct(self, text: str | None = None, aside: str | None = None) -> None:
        """Give the language model, or the engine, other instructions; None = as they were."""
        self.instructions = self.instructions if text is None else text
        self.aside = self.aside if aside is None else aside
        whole = "\n\n".join(filter(None, (self.instructions, self.aside)))
        if whole != self.context.instructions:
            self.context.instructions = whole
            self.dialogue.follow(self.agent)

    def reported(self, traits: tuple[Trait, ...]) -> None:
        """Take what an engine reports of the caller's voice."""
        self.on_traits(traits)

    def expect(self, expect: Expect) -> None:
        """Set what the caller was asked for."""
        self.expected = expect
        self.listener.expect(expect)
        self.keypad.expect(expect)

    def caller_is_there(self) -> None:
        """Note a sign of life: a talk that ended for want of one goes on."""
        if isinstance(self.ending, Ending) and self.ending.reason == "silence":
            self.ending = None

    def leave(self, asked: Asked | None) -> None:
        """Leave the caller's words to the agent that follows, if one does."""
        if asked is not None and isinstance(self.ending, AgentChange):
            self.context.add_user(asked.text, asked.choice, typed=asked.typed)

    def mute(self, reason: str) -> None:
        """Listen to no one: the caller is on hold or being transferred."""
        self.muted_for.add(reason)
        self.listener.mute()

    def unmute(self, reason: str) -> None:
        """Listen again, unless there is another reason not to: phones hold while they transfer."""
        self.muted_for.discard(reason)
        if not self.muted_for:
            self.listener.unmute()

    async def say(self, text: str, *, asks: bool = False) -> None:
        """Speak a text on the free floor; see `spoken`."""
        await self.floor.start(self.spoken(text, asks=asks), TurnFigures.at(self.call))

    def spoken(self, text: str, *, asks: bool) -> Source:
        """Make the source of a reply that is this text.

        Args:
            text: of the configuration or the operator.
            asks: what it expects of the caller is guessed from its words.
        """

        async def pieces(reply: Reply) -> AsyncGenerator[str, None]:
            self.context.add_assistant(text)
            if asks and reply.outcome.expect is None:
                reply.outcome.expect = self.dialogue.expected_by(text)
            for piece in pieces_of(text):
                yield piece

        return pieces
