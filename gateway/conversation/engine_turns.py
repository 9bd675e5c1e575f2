"""EngineTurns: the bot turns that an engine speaks in, on the floor or waiting for it."""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.conversation.duplex_caller import CallerTurns
from gateway.conversation.engine_replies import EngineReplies
from gateway.conversation.engine_reply import EngineAnswer, EngineReply
from gateway.conversation.exchange import Asked
from gateway.conversation.figures import TurnFigures
from gateway.conversation.preparation import BotTurn
from gateway.conversation.reply_tools import ReplyTools
from gateway.conversation.speech_link import SpeechLink
from gateway.conversation.talk import Talk
from gateway.providers.contracts import AssistantMessage
from gateway.providers.speech_to_speech import TurnOwner
from gateway.turn.events import TurnEnded, milliseconds


class EngineTurns:
    """Starts them one after the other.  Loop thread only."""

    def __init__(
        self,
        talk: Talk,
        link: SpeechLink,
        replies: EngineReplies,
        caller: CallerTurns,
        tools: ReplyTools,
        owner: TurnOwner,
    ) -> None:
        self._talk = talk
        self._link = link
        self._replies = replies
        self._caller = caller
        self._tools = tools
        self._owner = owner
        self.current: EngineAnswer | None = None
        """On the floor."""
        self._pending: deque[tuple[EngineAnswer, Asked | None, TurnEnded | None]] = deque()
        """For when the floor is free."""

    @property
    def owed(self) -> EngineAnswer | None:
        """The bot turn that the engine has still to speak in."""
        return next((each for each in self._all() if each.is_owed), None)

    @property
    def is_silent(self) -> bool:
        """True while the engine is to speak and has not begun."""
        return any(each.is_silent for each in self._all())

    @property
    def are_waiting(self) -> bool:
        """True while some wait for the floor."""
        return bool(self._pending)

    def _all(self) -> list[EngineAnswer]:
        waiting = [answer for answer, _, _ in self._pending]
        return waiting if self.current is None else [self.current, *waiting]

    def new(self) -> EngineAnswer:
        """Make one; it is said once it is started, or is the source of an opening line."""
        group = self._talk.call.group
        questions = self._talk.agent.questions
        return EngineAnswer(self._link, self._talk.context, self._tools, group, questions)

    async def start(
        self, answer: EngineAnswer, asked: Asked | None = None, turn: TurnEnded | None = None
    ) -> None:
        """Give it the floor, now or once that is free.

        Args:
            answer: of `new`.
            asked: the caller's words that it answers.
            turn: in which they were said.
        """
        talk = self._talk
        if talk.ending is not None:
            talk.leave(asked)
            return
        if talk.floor.is_bots or talk.call.control.is_busy:
            self._pending.append((answer, asked, turn))
            return
        figures = TurnFigures.at(talk.call, turn)
        figures.caller_text = asked.text if asked else None
        figures.sent_s = None if self._owner == "gateway" else self._link.sent_s
        if turn is not None:
            figures.asked_s = self.engine_began_s(turn)
        self.current = answer
        await talk.floor.start(answer.say, figures, asked)
        if asked is not None:
            self._caller.is_answered_by(figures)

    async def start_next(self) -> None:
        """Start the next that waits, if the floor is free."""
        if self._pending and not self._talk.floor.is_bots:
            await self.start(*self._pending.popleft())

    def engine_began_s(self, turn: TurnEnded) -> float:
        """Return the loop time from which on the engine could answer: its own share begins."""
        since = turn.now if self._owner == "gateway" else turn.speech_end
        ago_s = milliseconds(self._talk.call.audio.now - since) / 1000
        return asyncio.get_running_loop().time() - ago_s

    def refuse(self, part: EngineReply) -> None:
        """Drop a reply of the engine that is not wanted."""
        self._replies.forget([part])
        part.end()
        if part.reply_id:
            self._link.cut(part.session, part.reply_id, 0)

    def drop_waiting(self) -> None:
        """What the engine has begun meanwhile answers something else than is said now."""
        pending, self._pending = self._pending, deque()
        for answer, _, _ in pending:
            answer.over(is_cut=True)
            self._replies.forget(answer.parts)

    def over(self, turn: BotTurn, heard: str, *, is_cut: bool) -> EngineAnswer | None:
        """Note that a bot turn has given up the floor; return it if the engine spoke in it."""
        answer = self.current
        if answer is None or turn.source != answer.say:
            return None
        self.current = None
        answer.over(is_cut=is_cut)
        if is_cut:
            self._replies.forget(answer.parts)
        if not all(map(self._link.has, (part.session for part in answer.parts))) and heard:
            # The session in use does not know of it: another one has made it.
            is_part = is_cut or answer.is_broken_off
            self._link.tell([AssistantMessage(heard, interrupted=is_part)], answer=False)
        return answer
