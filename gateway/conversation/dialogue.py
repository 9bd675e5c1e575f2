"""Dialogue: how an agent understands the caller and answers.

A conversation knows no more of its engines than this.  Floor, pause, cut, heard text, figures,
recording, watchdog and actions are the same for every dialogue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.call.steering import AnswerRequest
from gateway.config.models import Eagerness
from gateway.conversation.agent import Agent
from gateway.conversation.exchange import Cut
from gateway.conversation.preparation import BotTurn
from gateway.conversation.reply import Source
from gateway.providers.contracts import Expect
from gateway.turn.digits import Entry
from gateway.turn.events import EagerEnd, TurnEnded, TurnEvent


@dataclass(frozen=True, slots=True)
class Due:
    """What a dialogue has to do in the order of the conversation's events."""

    act: Callable[[], Awaitable[None]]


class Hearing(Protocol):
    """Where the caller's audio goes, in the order of frames and turn events.  Never waits."""

    @property
    def may_wait(self) -> bool:
        """True while frames without sound may come up to 100 ms later."""

    def hear(self, pcm: bytes) -> None:
        """Accept one frame in the format of the call (`CallAudio.format`)."""

    def follow(self, event: TurnEvent) -> None:
        """Accept what the turn taker has found in the audio so far."""

    def caller_goes_on(self) -> None:
        """Note that the end of a turn that was awaited has not come."""

    def expect(self, expect: Expect) -> None:
        """Set what the dialogue expects from the next turn."""

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Take turns for over sooner or later from now on; our turn taker knows already."""

    def reopen(self, onset: int) -> None:
        """Note that the caller goes on with a turn that began at an audio time."""

    def drop_turn(self) -> None:
        """Forget the turn in progress: nothing that is understood of it counts any more."""

    def mute(self) -> None:
        """Note that no audio follows for a while (hold, transfer)."""

    def close(self) -> None:
        """End: the call is over, or another dialogue takes over.  Idempotent."""


class Dialogue(Protocol):
    """How an agent understands and answers.  Loop thread only."""

    hearing: Hearing
    engine_names: tuple[str, ...]
    """What a frame goes through, for the log; the first understands the caller."""
    greets: bool
    """It says the greeting of the agent itself, as its opening line."""
    answers_anything: bool
    """As a language model does; a script answers what it asks for, and takes all words for that."""
    answers_meanwhile: bool
    """Something else may be said while a tool runs."""

    def follow(self, agent: Agent) -> None:
        """Go by other settings and engines of the agent from the next turn on."""

    # --- the caller's turns ---

    async def turn_started(self, cut: Cut | None) -> None:
        """The caller took the floor, from the bot if there is a `cut`."""

    async def may_be_over(self, event: EagerEnd) -> None:
        """The turn is probably over: a reply may be prepared."""

    async def goes_on(self) -> None:
        """The turn was not over: what was prepared is void."""

    async def turn_ended(
        self, event: TurnEnded, source: Source | None = None, *, is_told: bool = True
    ) -> None:
        """Answer, or keep it until the bot has finished.

        Args:
            event: the turn.
            source: what is said whatever its words are; None = what the engines say to them.
            is_told: the engines get to know of the turn.
        """

    async def keep_turn(self, event: TurnEnded) -> None:
        """Remember what the caller has said; a client of the call asks for the answer."""

    async def turn_discarded(self) -> None:
        """It was no turn: what it has cut is said after all."""

    def turn_broken_off(self) -> None:
        """The turn has ended without words of its own; earlier ones wait for the next."""

    async def typed(self, entry: Entry, *, is_speaking: bool) -> None:
        """Answer keys, or keep them until the bot, or the caller, has finished.

        Args:
            entry: the keys.
            is_speaking: the caller says something meanwhile that belongs to it.
        """

    # --- the bot's ---

    def opening_line(self) -> Source:
        """Return the first words of an agent without a greeting of its own."""

    def expected_by(self, text: str) -> Expect | None:
        """Return what a text of the configuration or the operator asks the caller for."""

    def bot_turn_over(self, turn: BotTurn, heard: str, *, is_cut: bool) -> None:
        """Note that a bot turn, of engines or of our own words, has given up the floor.

        Args:
            turn: what it was.
            heard: what the caller has heard of it.
            is_cut: it was taken back before its end.
        """

    async def answer(self, request: AnswerRequest | None = None) -> None:
        """Answer what the history ends with, on the free floor.

        Args:
            request: what a client of the call wants of this answer alone.
        """

    async def answer_waiting(self) -> None:
        """Answer what was said or typed into the reply that is over now."""

    async def tell_results(self) -> None:
        """Report the results of tools whose reply was cut, unless the floor is taken."""

    def close(self) -> None:
        """There will be no more turns.  Idempotent."""
