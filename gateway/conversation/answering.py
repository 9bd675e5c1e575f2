"""Answering: the caller's turns -> replies, prepared early, taken back when the caller goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from gateway.config.models import AgentConfig
from gateway.conversation.cascade import Cascade
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.figures import TurnFigures
from gateway.conversation.floor import Asked, Cut, Floor
from gateway.conversation.live_call import LiveCall
from gateway.conversation.reply import Reply, Source
from gateway.providers.contracts import Expect
from gateway.turn.events import EagerEnd, TurnEnded
from gateway.turn.state import Move


class Answering:
    """Decides what the next reply answers.  Loop thread only."""

    def __init__(
        self,
        call: LiveCall,
        config: AgentConfig,
        context: ChatContext,
        floor: Floor,
        cascade: Cascade,
        expected: Callable[[], Expect],
        is_whole: Callable[[], bool],
    ) -> None:
        self._call = call
        self._config = config
        self._context = context
        self._floor = floor
        self._cascade = cascade
        self._expected = expected
        self._is_whole = is_whole
        self._cut: Cut | None = None
        """What the caller turn in progress has taken the floor from."""
        self._earlier: Asked | None = None
        """Words whose answer was taken back: the next turn goes on with them."""
        self._waiting: Asked | None = None
        """Said into a reply that could not be interrupted: answered after it."""

    async def turn_started(self, cut: Cut | None) -> None:
        """The caller took the floor, from the bot if there is a `cut`."""
        self._cut = cut
        if cut is not None and cut.is_reopened:
            self._earlier = cut.asked

    async def may_be_over(self, event: EagerEnd) -> None:
        """Prepare a reply, unless it would cost too much."""
        limits = self._config.speculation
        wasted = self._call.speculation.wasted_tokens
        if not limits.enabled or self._floor.is_bots or wasted >= limits.max_wasted_tokens:
            return
        asked = self._asked(event.text, event.choice, event.onset)
        if not self._floor.has_prepared(asked):
            await self._floor.prepare(self._cascade.pieces, self._figures(asked), asked)

    async def goes_on(self) -> None:
        """The turn was not over: what was prepared is void."""
        await self._floor.drop_held()

    async def turn_ended(self, event: TurnEnded) -> None:
        """Answer, or keep it until the bot has finished."""
        asked = self._take(event.text, event.choice, event.onset)
        if self._floor.is_bots:
            self._waiting = asked
            self._call.note("turn_waits", text=event.text)
            return
        self._floor.move(Move.TURN_ENDED)
        if self._floor.has_prepared(asked):
            self._floor.release(event)
        else:
            await self._answer(asked, event)

    async def typed(self, digits: str) -> None:
        """Answer keys, or keep them until the bot has finished."""
        asked = self._take(digits, None)
        if self._floor.is_bots:
            self._waiting = asked
            self._call.note("turn_waits", text=digits)
        else:
            await self._answer(asked, None)

    async def answer_waiting(self) -> None:
        """Answer what was said or typed into the reply that is over now."""
        asked, self._waiting = self._waiting, None
        if asked is not None and not self._floor.is_bots:
            await self._answer(asked, None)

    def turn_broken_off(self) -> None:
        """The turn has ended without words of its own; earlier ones wait for the next."""
        self._cut = None

    async def turn_discarded(self) -> None:
        """It was no turn: what it has cut is said after all."""
        cut, self._cut = self._cut, None
        if cut is None:
            await self.answer_waiting()
            return
        figures = TurnFigures.at(self._call, cut.figures.turn)
        figures.caller_text = cut.figures.caller_text
        figures.is_again = cut.figures.queued_at is not None
        if cut.is_reopened:
            self._earlier = None
            await self._floor.start(cut.source, figures, cut.asked, again=True)
        elif cut.has_rest:
            await self._floor.start(self._rest_of(cut), figures, again=True)
        else:
            await self.answer_waiting()

    def _asked(self, text: str, choice: str | None, onset: int | None = None) -> Asked:
        """All that is to be answered: words that are still unanswered, and these."""
        asked = Asked(text, choice, self._expected(), onset)
        earlier = self._earlier
        if earlier is not None and onset is not None and self._is_whole():
            asked = replace(asked, expected=earlier.expected, onset=earlier.onset)
        elif earlier is not None:
            asked = _joined(earlier, asked)
        return asked if self._waiting is None else _joined(self._waiting, asked)

    def _take(self, text: str, choice: str | None, onset: int | None = None) -> Asked:
        asked = self._asked(text, choice, onset)
        self._cut = self._earlier = self._waiting = None
        return asked

    def _rest_of(self, cut: Cut) -> Source:
        """Say what was not heard of it to the end, then do what it was to do.

        Where it was cut before all of its text was there, the brain is asked to go on.
        """
        more = self._cascade.pieces if cut.figures.generated else cut.source

        async def rest(reply: Reply) -> AsyncGenerator[str, None]:
            reply.outcome = replace(cut.outcome, error=None)
            self._context.amend(cut.outcome.action_results)
            if cut.unheard:
                self._context.add_assistant(" ".join(cut.unheard))
            for piece in cut.unheard:
                yield piece
            if not cut.is_thought_out:
                async with aclosing(more(reply)) as pieces:
                    async for piece in pieces:
                        yield piece

        return rest

    async def _answer(self, asked: Asked, turn: TurnEnded | None) -> None:
        await self._floor.start(self._cascade.pieces, self._figures(asked, turn), asked)

    def _figures(self, asked: Asked, turn: TurnEnded | None = None) -> TurnFigures:
        figures = TurnFigures.at(self._call, turn)
        figures.caller_text = asked.text
        return figures


def _joined(earlier: Asked, later: Asked) -> Asked:
    text = f"{earlier.text} {later.text}".strip()
    return Asked(text, None, earlier.expected, earlier.onset)
