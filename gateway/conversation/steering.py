"""Steering: what a client of the call asks of its conversation, done in the order of events."""

from __future__ import annotations

from collections.abc import Callable

from gateway.call.live_call import LiveCall
from gateway.call.steering import (
    Answer,
    AnswerAside,
    AnswerRequest,
    BeginTurn,
    CancelAnswer,
    CancelAside,
    ClearTurn,
    CommitTurn,
    HistoryChanged,
    Instructed,
    MessagesAdded,
    Steer,
    ToolReturned,
    TurnsTaken,
)
from gateway.config.models import Eagerness
from gateway.conversation.asides import Asides
from gateway.conversation.talk import Talk
from gateway.providers.contracts import Message, UserMessage
from gateway.turn.events import TurnEnded

_EAGERNESS: dict[str, Eagerness] = {
    "low": "low", "medium": "medium", "high": "high", "auto": "auto"
}  # fmt: skip


class Steering:
    """Steers one conversation.  Loop thread only."""

    def __init__(self, talk: Talk, greeting: str) -> None:
        """Prepare.

        Args:
            talk: the conversation.
            greeting: what the agent says first; empty = the model's first reply.
        """
        self._talk = talk
        self._call: LiveCall = talk.call
        self._greeting = greeting
        self._asides = Asides(talk)
        self._own = talk.context.instructions
        self._due: AnswerRequest | None = None
        """An answer that waits for the words of a turn which was committed."""
        self._edits: list[Callable[[], None]] = []
        """Of the history, until the reply in progress is over."""

    async def do(self, asked: Steer) -> None:  # noqa: C901 - one case per request
        """Do what a client asks for."""
        talk, taker = self._talk, self._talk.listener.taker
        match asked:
            case Answer(request=request):
                await self._answer(request)
            case CancelAnswer():
                self._due = None
                await talk.floor.interrupt("client")
            case AnswerAside(key=key, request=request):
                self._asides.begin(key, request)
            case CancelAside(key=key):
                self._asides.cancel(key)
            case TurnsTaken():
                self._take_turns(asked)
            case BeginTurn():
                taker.begin_turn(self._call.audio.now)
            case CommitTurn():
                taker.commit_turn()
            case ClearTurn():
                talk.listener.drop_turn("replaced")
            case Instructed(instructions=text, added=added):
                texts = filter(None, (text or self._own, added))
                talk.instruct("\n\n".join(texts))
                await talk.floor.preparation.drop()
            case MessagesAdded(messages=messages):
                await self._edit(lambda: self._add(messages))
            case HistoryChanged(messages=messages):
                await self._edit(lambda: talk.context.replace_messages(messages))
            case ToolReturned(result=result):
                talk.context.settle(result)
                talk.context.told(frozenset({result.call_id}))  # the client asks for the answer

    async def turn_ended(self, event: TurnEnded) -> bool:
        """Take a caller's turn that is not answered by itself; False = it is."""
        if self._call.terms.answers and self._due is None:
            return False
        await self._talk.dialogue.keep_turn(event)
        await self.turn_is_over()
        return True

    async def turn_is_over(self) -> None:
        """Answer now what had to wait for the words of a turn."""
        due, self._due = self._due, None
        if due is not None:
            await self._answer(due)

    def bot_turn_over(self) -> None:
        """Edit the history as far as that had to wait."""
        edits, self._edits = self._edits, []
        for edit in edits:
            edit()

    def close(self) -> None:
        """The conversation is over."""
        self._asides.close()

    async def _answer(self, request: AnswerRequest) -> None:
        talk = self._talk
        if talk.listener.taker.is_committed:
            self._due = request
            return
        if talk.floor.is_bots or talk.ending is not None:
            return  # the client has asked when an answer had just begun
        greets = request == AnswerRequest() and not talk.context.messages()
        if greets and self._greeting and not talk.dialogue.greets:
            await talk.say(self._greeting, asks=True)
        else:
            await talk.dialogue.answer(request)

    def _take_turns(self, asked: TurnsTaken) -> None:
        talk, taker = self._talk, self._talk.listener.taker
        taker.let_client_decide(by_client=asked.by_client)
        taker.set_silence(asked.silence_ms, asked.threshold)
        taker.set_interruptible(interruptible=asked.interrupts and not asked.by_client)
        eagerness = _EAGERNESS.get(asked.eagerness or "", talk.agent.config.turn.eagerness)
        taker.set_eagerness(eagerness)
        talk.listener.hearing.set_eagerness(eagerness)

    async def _edit(self, edit: Callable[[], None]) -> None:
        await self._talk.floor.preparation.drop()
        if self._talk.floor.is_bots:
            self._edits.append(edit)
        else:
            edit()

    def _add(self, messages: tuple[Message, ...]) -> None:
        context = self._talk.context
        for message in messages:
            if isinstance(message, UserMessage):
                context.add_user(message.text)
            else:
                context.append(message)
