"""Agenda: what the bot says unasked when the floor is free, in order of importance."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gateway.conversation.action_runner import ActionRunner, Asked
from gateway.conversation.actions import (
    ChangeAgent,
    ChangeLanguage,
    HangUp,
    changed_agent,
    changed_language,
)
from gateway.conversation.first_words import FirstWords
from gateway.conversation.talk import Ending, Talk


@dataclass(frozen=True, slots=True)
class SilenceToFill:
    """The bot waits for a tool, and the operator wants something said."""


class Agenda:
    """The first words, what the operator wants said, late results of tools, silent callers."""

    def __init__(self, talk: Talk, first_words: FirstWords, actions: ActionRunner) -> None:
        self._talk = talk
        self._first_words = first_words
        self._actions = actions
        self._to_say: deque[str] = deque()
        """What the operator wants said when the bot has finished."""

    @property
    def has_silence_to_fill(self) -> bool:
        """True while the operator's words could be said instead of waiting for a tool."""
        return bool(self._to_say) and self._waits_in_silence

    @property
    def _waits_in_silence(self) -> bool:
        """True while nothing is said because of a tool that goes on without its reply."""
        talk = self._talk
        if not (talk.floor.waits_for_tools and talk.dialogue.answers_meanwhile):
            return False
        goes_on = talk.floor.has_acted or talk.tools.is_running
        return goes_on and not (talk.call.line.outlet.is_busy or talk.listener.taker.in_turn)

    async def operator_wants(self, text: str) -> None:
        """Speak this as soon as the floor is free."""
        self._to_say.append(text)
        await self.say_next()

    async def fill_silence(self) -> None:
        """Speak the operator's words now if the bot still waits in silence."""
        if self.has_silence_to_fill:
            await self._talk.floor.interrupt("operator")  # the tool goes on, its result is told
        await self.say_next()

    async def say_next(self) -> None:
        """Speak on a free floor: a text of the bot or the operator, or results of tools."""
        talk, opening = self._talk, self._first_words.opening
        is_busy = opening.listens or talk.call.control.is_busy
        is_free = talk.floor.is_free and not is_busy
        if talk.ending is not None:
            return
        if is_free and opening.is_due:
            await self._first_words.begin()
        elif is_free and self._to_say:
            await talk.say(self._to_say.popleft(), asks=True)
        else:
            await talk.dialogue.tell_results()

    async def go_on(self) -> None:
        """The bot has finished: do what it was to do, then answer what came meanwhile."""
        talk = self._talk
        match self._actions.run():
            case Asked(action=HangUp(reason=reason)):
                talk.ending = Ending("bot_hung_up", reason)
            case Asked(action=ChangeAgent(agent=agent), told=told):
                talk.context.amend([changed_agent(told, agent)])
                talk.call.control.change_agent(agent, "agent")
                return
            case Asked(action=ChangeLanguage(language=language), told=told):
                talk.context.amend([changed_language(told, language)])
                talk.call.control.change_language(language, "agent")
                if language != talk.agent.config.language:
                    return
        if talk.ending is None and not talk.call.control.is_busy:
            await talk.dialogue.answer_waiting()
            await self.say_next()

    async def prompt_silent_caller(self, times: int) -> None:
        """Ask a silent caller again; after the last time the talk ends.

        Args:
            times: how often in a row it is silent, from 1.
        """
        talk = self._talk
        if talk.floor.is_bots or talk.ending is not None or talk.call.control.is_busy:
            return
        if talk.tools.owes:  # it is the caller who waits
            await talk.dialogue.tell_results()
            return
        silence = talk.agent.config.silence
        if times <= len(silence.reprompts):
            await talk.say(talk.expected.reprompt or silence.reprompts[times - 1])
            return
        talk.ending = Ending("silence", "the caller said nothing")
        await talk.say(silence.goodbye)
