"""CascadeDialogue: caller turns -> replies, prepared early, taken back when the caller goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from gateway.call import events
from gateway.call.steering import AnswerRequest
from gateway.conversation.agent import Agent
from gateway.conversation.cascade import Cascade
from gateway.conversation.dialogue import Hearing
from gateway.conversation.exchange import Asked, Cut
from gateway.conversation.figures import TurnFigures
from gateway.conversation.growing import Growing
from gateway.conversation.history import join_turns
from gateway.conversation.meter import RecognizerMeter
from gateway.conversation.preparation import BotTurn
from gateway.conversation.recognition import Recognition
from gateway.conversation.reply import Reply, Source
from gateway.conversation.talk import Talk
from gateway.errors import ProviderError
from gateway.providers.contracts import Expect, Spoken, Typed
from gateway.turn.digits import Entry
from gateway.turn.events import EagerEnd, TurnEnded


class CascadeDialogue:
    """Satisfies `Dialogue`: understands with one engine and answers with another.

    Loop thread only.
    """

    def __init__(self, talk: Talk, post: Callable[[ProviderError], None]) -> None:
        """Begin to understand.

        Args:
            talk: the conversation.
            post: accepts failures of recognition.
        """
        call, agent = talk.call, talk.agent
        self._talk = talk
        self._call = call
        self._agent = agent
        self._context = talk.context
        self._floor = talk.floor
        self._tools = talk.tools
        meter = RecognizerMeter.of(call, agent.config)
        self._recognition = Recognition(
            call, agent.recognizer, agent.config.turn, talk.listener.taker, post, meter
        )
        self._cascade = Cascade(call, agent, talk.context, talk.tools)
        self._recognition.on_traits = talk.reported
        self.hearing: Hearing = self._recognition
        self.greets = False
        self._know(agent)
        self._cut: Cut | None = None
        """What the caller turn in progress has taken the floor from."""
        self._earlier: Asked | None = None
        """Words whose answer was taken back: the next turn goes on with them."""
        self._waiting: Asked | None = None
        """Said into a reply that could not be interrupted: answered after it."""

    def follow(self, agent: Agent) -> None:
        """Go by other settings and engines of the agent; what was prepared is void already."""
        is_same = agent.recognizer is self._agent.recognizer
        meter = RecognizerMeter.of(self._call, agent.config)
        self._recognition.change(None if is_same else agent.recognizer, agent.config.turn, meter)
        self._cascade.follow(agent)
        self._know(agent)

    def _know(self, agent: Agent) -> None:
        self._agent = agent
        engines = (agent.recognizer, agent.llm, agent.voice)
        self.engine_names = tuple(type(engine).__name__ for engine in engines)
        self.answers_anything = agent.llm.counts_tokens
        self.answers_meanwhile = self._cascade.answers_meanwhile

    async def turn_started(self, cut: Cut | None) -> None:
        """The caller took the floor, from the bot if there is a `cut`."""
        self._forget_cut()
        self._cut = cut
        if cut is not None and cut.is_reopened:
            self._earlier = cut.asked

    async def may_be_over(self, event: EagerEnd) -> None:
        """Prepare a reply, unless it would cost too much."""
        limits = self._agent.config.speculation
        wasted = self._call.speculation.wasted_tokens
        if not limits.enabled or self._must_wait or wasted >= limits.max_wasted_tokens:
            return
        if not self._call.terms.answers:
            return
        asked = self._asked(event.text, event.choice, event.onset)
        if not self._floor.preparation.has_prepared(asked):
            await self._floor.preparation.prepare(self._cascade.pieces, self._figures(asked), asked)

    async def goes_on(self) -> None:
        """The turn was not over: what was prepared is void."""
        await self._floor.preparation.drop()

    async def turn_ended(
        self, event: TurnEnded, source: Source | None = None, *, is_told: bool = True
    ) -> None:
        """Answer, or keep it until the bot has finished.

        Args:
            event: the turn.
            source: the answer whatever its words are; None = the model's answer to them.
            is_told: the model receives the turn.
        """
        asked = self._take(event.text, event.choice, event.onset)
        self._floor.caller_ends()
        if self._talk.ending is not None:
            self._talk.leave(asked)
            return
        if source is not None:
            figures = self._figures(asked, event)
            await self._floor.start(source, figures, asked if is_told else None)
            return
        if self._must_wait:
            await self._floor.preparation.drop()
            self._waiting = asked
            self._call.note(events.TurnWaits(text=event.text))
            return
        if self._floor.preparation.has_prepared(asked):
            self._floor.release(event)
        else:
            await self._answer(asked, event)

    async def keep_turn(self, event: TurnEnded) -> None:
        """Remember what the caller has said, behind what the bot is saying."""
        asked = self._take(event.text, event.choice, event.onset)
        self._floor.caller_ends()
        await self._floor.preparation.drop()
        if self._floor.is_bots:
            self._waiting = asked
        else:
            self._context.add_user(asked.text, asked.choice, is_answer=asked.is_answer)

    async def typed(self, entry: Entry, *, is_speaking: bool) -> None:
        """Answer keys, or keep them until the bot, or the caller, has finished.

        Args:
            entry: the keys.
            is_speaking: the caller says something meanwhile that belongs to it.
        """
        typed: Typed = "ended" if entry.is_ended else "paused"
        if self._must_wait or is_speaking:
            asked = Asked(entry.digits, None, self._talk.expected, typed=typed)
            self._waiting = _joined(self._waiting, asked) if self._waiting else asked
            self._call.note(events.TurnWaits(text=entry.digits))
        else:
            await self._answer(self._take(entry.digits, None, typed=typed), None)

    async def answer_waiting(self) -> None:
        """Answer what was said or typed into the reply that is over now."""
        if self._floor.is_bots:
            return  # another reply has begun; what waits is answered when that is over
        asked, self._waiting = self._waiting, None
        if asked is not None and self._call.terms.answers:
            await self._answer(asked, None)
        elif asked is not None:
            self._context.add_user(asked.text, asked.choice, typed=asked.typed)

    async def tell_results(self) -> None:
        """Report the results of tools whose reply was cut, or wait for them with the floor.

        Do nothing while the caller or the bot speaks: the next reply will contain them.
        """
        is_free = self._floor.is_free and not self._call.control.is_busy
        if self._tools.owes and is_free:
            await self._floor.start(self._cascade.pieces, self._figures(None))

    def opening_line(self) -> Source:
        """Return the first words of an agent without a greeting of its own."""
        return self._cascade.pieces

    def expected_by(self, text: str) -> Expect | None:
        """Return what a text of the configuration or the operator asks the caller for."""
        return self._cascade.expected_by(text)

    async def answer(self, request: AnswerRequest | None = None) -> None:
        """Answer what the history ends with, on the free floor."""
        await self._floor.start(self._cascade.pieces, self._figures(None), request=request)

    def bot_turn_over(self, turn: BotTurn, heard: str, *, is_cut: bool) -> None:
        """Note it: the history, which the model gets with each request, knows already."""

    def turn_broken_off(self) -> None:
        """The turn has ended without words of its own; earlier ones wait for the next."""
        self._forget_cut()

    def close(self) -> None:
        """There will be no more turns."""
        self._forget_cut()

    def _forget_cut(self) -> None:
        """What the turn has cut is not gone on with."""
        cut, self._cut = self._cut, None
        if cut is not None and cut.unfinished is not None:
            cut.unfinished.close()

    async def turn_discarded(self) -> None:
        """It was no turn: what it has cut is said after all."""
        cut, self._cut = self._cut, None
        if cut is None:
            await self.answer_waiting()
            return
        figures = TurnFigures.at(self._call, cut.figures.turn)
        figures.caller_text = cut.figures.caller_text
        figures.is_again = cut.figures.queued is not None
        if cut.is_reopened:
            self._earlier = None
            await self._floor.start(cut.source, figures, cut.asked, again=True)
        elif cut.has_rest:
            await self._floor.start(
                self._rest_of(cut), figures, again=True, unfinished=cut.unfinished
            )
        else:
            await self.answer_waiting()

    @property
    def _must_wait(self) -> bool:
        """The bot cannot be interrupted, keys are being sent, or the caller still types."""
        return self._floor.is_bots or self._call.control.is_busy or self._talk.keypad.is_open

    def _asked(
        self, text: str, choice: str | None, onset: int | None = None, typed: Typed = ""
    ) -> Asked:
        """All that is to be answered: words that are still unanswered, and these."""
        is_answer = bool(typed) or self._is_answer(onset)
        asked = Asked(text, choice, self._talk.expected, onset, typed, is_answer=is_answer)
        earlier = self._earlier
        if earlier is not None and onset is not None and self._recognition.is_whole:
            asked = replace(
                asked,
                expected=earlier.expected,
                onset=earlier.onset,
                is_answer=earlier.is_answer,
            )
        elif earlier is not None:
            asked = _joined(earlier, asked)
        return asked if self._waiting is None else _joined(self._waiting, asked)

    def _is_answer(self, onset: int | None) -> bool:
        """Return whether the words can be meant for what the bot has asked: it was heard before."""
        if self._cut is not None:
            return not self._cut.has_open_question
        return onset is None or not self._floor.is_before_question(onset)

    def _take(
        self, text: str, choice: str | None, onset: int | None = None, typed: Typed = ""
    ) -> Asked:
        asked = self._asked(text, choice, onset, typed)
        self._forget_cut()
        self._earlier = self._waiting = None
        return asked

    def _rest_of(self, cut: Cut) -> Source:
        """Speak the part of it that was not heard, then do what it was to do.

        Where it was cut before all of its text was there, the model goes on with the same answer,
        or is asked again when it was waiting for tools.
        """
        goes_on = cut.figures.generated or cut.unfinished is not None
        more = self._cascade.pieces if goes_on else cut.source

        async def rest(reply: Reply) -> AsyncGenerator[str | Growing | Spoken, None]:
            reply.outcome = replace(cut.outcome, error=None)
            self._context.amend(cut.outcome.action_results)
            if cut.unheard:
                self._context.add_assistant(" ".join(cut.unheard))
            for text in cut.unheard:
                yield text
            if not cut.is_thought_out:
                async with aclosing(more(reply)) as pieces:
                    async for piece in pieces:
                        yield piece

        return rest

    async def _answer(self, asked: Asked, turn: TurnEnded | None) -> None:
        await self._floor.start(self._cascade.pieces, self._figures(asked, turn), asked)

    def _figures(self, asked: Asked | None, turn: TurnEnded | None = None) -> TurnFigures:
        figures = TurnFigures.at(self._call, turn)
        figures.caller_text = asked.text if asked else None
        return figures


def _joined(earlier: Asked, later: Asked) -> Asked:
    text, typed = join_turns((earlier.text, earlier.typed), (later.text, later.typed))
    return Asked(text, None, earlier.expected, earlier.onset, typed, is_answer=earlier.is_answer)
