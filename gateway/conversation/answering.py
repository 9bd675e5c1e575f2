"""Answering: the caller's turns -> replies, prepared early, taken back when the caller goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from gateway.config.models import AgentConfig
from gateway.conversation.cascade import Cascade
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
        floor: Floor,
        cascade: Cascade,
        expected: Callable[[], Expect],
    ) -> None:
        self._call = call
        self._config = config
        self._floor = floor
        self._cascade = cascade
        self._expected = expected
        self._cut: Cut | None = None
        """What the caller turn in progress has taken the floor from."""
        self._waiting: Asked | None = None
        """Said into a reply that could not be interrupted: answered after it."""

    async def turn_started(self, cut: Cut | None) -> None:
        """The caller took the floor, from the bot if there is a `cut`."""
        self._cut = cut

    async def may_be_over(self, event: EagerEnd) -> None:
        """Prepare a reply, unless it would cost too much."""
        limits = self._config.speculation
        wasted = self._call.speculation.wasted_tokens
        if not limits.enabled or self._floor.is_bots or wasted > limits.max_wasted_tokens:
            return
        asked = self._asked(event.text, event.choice)
        if not self._floor.has_prepared(asked):
            await self._floor.prepare(self._cascade.pieces, self._figures(asked), asked)

    async def goes_on(self) -> None:
        """The turn was not over: what was prepared is void."""
        await self._floor.drop_held()

    async def turn_ended(self, event: TurnEnded) -> None:
        """Answer, or keep it until the bot has finished."""
        asked = self._asked(event.text, event.choice)
        self._cut = None
        if self._floor.is_bots:
            self._keep(asked)
            return
        self._floor.move(Move.TURN_ENDED)
        if self._floor.has_prepared(asked):
            self._floor.release(event)
        else:
            await self._answer(asked, event)

    async def typed(self, digits: str) -> None:
        """Answer keys, or keep them until the bot has finished."""
        asked = Asked(digits, None, self._expected())
        if self._floor.is_bots:
            self._keep(asked)
        else:
            await self._answer(asked, None)

    async def answer_waiting(self) -> None:
        """Answer what was said or typed into the reply that is over now."""
        asked, self._waiting = self._waiting, None
        if asked is not None and not self._floor.is_bots:
            await self._answer(asked, None)

    async def turn_discarded(self) -> None:
        """It was no turn: what it has cut is said after all."""
        cut, self._cut = self._cut, None
        if cut is None or self._floor.is_bots:
            return
        figures = TurnFigures.at(self._call, cut.figures.turn)
        figures.caller_text = cut.figures.caller_text
        if cut.is_reopened or not cut.figures.generated:
            source = _with_actions_of(cut, cut.source)
            await self._floor.start(source, figures, cut.asked if cut.is_reopened else None)
        elif cut.unheard:
            await self._floor.start(_with_actions_of(cut, _saying(cut.unheard)), figures)

    @property
    def reopened(self) -> Asked | None:
        """The earlier words of the turn in progress, if the caller goes on with an answered one."""
        return self._cut.asked if self._cut is not None and self._cut.is_reopened else None

    def _asked(self, text: str, choice: str | None) -> Asked:
        earlier = self.reopened
        if earlier is None:
            return Asked(text, choice, self._expected())
        return Asked(_joined(earlier.text, text), None, earlier.expected)

    def _keep(self, asked: Asked) -> None:
        earlier = self._waiting
        text = _joined(earlier.text, asked.text) if earlier else asked.text
        self._waiting = Asked(text, None if earlier else asked.choice, asked.expected)
        self._call.note("turn_waits", text=asked.text)

    async def _answer(self, asked: Asked, turn: TurnEnded | None) -> None:
        await self._floor.start(self._cascade.pieces, self._figures(asked, turn), asked)

    def _figures(self, asked: Asked, turn: TurnEnded | None = None) -> TurnFigures:
        figures = TurnFigures.at(self._call, turn)
        figures.caller_text = asked.text
        return figures


def _joined(earlier: str, later: str) -> str:
    return f"{earlier} {later}".strip()


def _saying(pieces: tuple[str, ...]) -> Source:
    async def source(reply: Reply) -> AsyncGenerator[str, None]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(0)

    return source


def _with_actions_of(cut: Cut, source: Source) -> Source:
    """Do what the cut reply was to do, too."""

    async def again(reply: Reply) -> AsyncGenerator[str, None]:
        reply.outcome.actions += cut.outcome.actions
        reply.outcome.expect = cut.outcome.expect
        async with aclosing(source(reply)) as pieces:
            async for piece in pieces:
                yield piece

    return again
