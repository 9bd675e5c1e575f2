"""FirstWords: the greeting, and what becomes of it when the other side breaks it off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.call.steering import Terms
from gateway.conversation.exchange import Cut
from gateway.conversation.figures import TurnFigures
from gateway.conversation.opening import Opening
from gateway.conversation.reply import Source
from gateway.conversation.talk import Talk
from gateway.turn.events import TurnEnded, samples


@dataclass(frozen=True, slots=True)
class FirstWordIsOurs:
    """The called party has said nothing so far."""


class FirstWords:
    """Speaks the first words of one call."""

    def __init__(self, talk: Talk, text: str, post: Callable[[FirstWordIsOurs], None]) -> None:
        """Prepare.

        Args:
            talk: the conversation.
            text: the greeting; empty = the model's first reply.
            post: takes what is due later.
        """
        config = talk.agent.config
        self._talk = talk
        self._text = text
        self._post = post
        self._is_placed = talk.call.line.facts.direction == "out"
        self._words: Source | None = None
        self.opening = Opening(listens_first=self._is_placed and config.listen_first_ms > 0)
        """When they are said."""

    async def greet(self, terms: Terms) -> None:
        """Speak them, or let the other side finish first, or leave both to a client of the call."""
        if not terms.greets:
            self.opening.begin()
            return
        if not self.opening.listens:
            await self.begin()
            return
        call = self._talk.call
        due = call.audio.now + samples(self._talk.agent.config.listen_first_ms)
        call.audio.at(due, lambda: self._post(FirstWordIsOurs()))

    async def begin(self, turn: TurnEnded | None = None) -> None:
        """Speak them, in answer to those of the other side if there were any."""
        self.opening.begin()
        talk = self._talk
        text = "" if talk.dialogue.greets else self._text
        words = talk.spoken(text, asks=True) if text else talk.dialogue.opening_line()
        self._words = words
        if turn is None:
            await talk.floor.start(words, TurnFigures.at(talk.call))
        else:  # a script takes what it is told for an answer
            is_told = bool(text) or talk.dialogue.answers_anything
            await talk.dialogue.turn_ended(turn, words, is_told=is_told)

    def were_cut(self, cut: Cut | None) -> None:
        """Let those of a placed call be said again, unless a model can answer what cut them."""
        if cut is None or not self._is_placed or cut.source is not self._words:
            return
        if self._talk.dialogue.greets:
            return
        if not self._text and not self._talk.dialogue.answers_anything:
            self._text = " ".join(cut.figures.generated)
        if self._text and not cut.has_asked:
            self.opening.broken_off(counts=not cut.is_reopened)
