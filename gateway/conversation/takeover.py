"""Takeover: recognizer, language model and voice go on with a call whose engine was lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gateway.call import events
from gateway.config.models import AgentConfig
from gateway.conversation.cascade_dialogue import CascadeDialogue
from gateway.conversation.duplex_caller import is_answerable
from gateway.conversation.first_words import FirstWords
from gateway.conversation.spending import SpendingLimit
from gateway.conversation.talk import Ending, Talk
from gateway.conversation.trouble import Trouble
from gateway.errors import ProviderError
from gateway.providers.contracts import UserMessage


class Takeover:
    """Exchanges the dialogue of one conversation, or ends it."""

    def __init__(
        self,
        talk: Talk,
        config: AgentConfig,
        first_words: FirstWords,
        trouble: Trouble,
        post: Callable[[ProviderError], None],
    ) -> None:
        """Prepare.

        Args:
            talk: the conversation.
            config: of the agent, without what its engine has changed of it.
            first_words: to be said by the new dialogue if they were not.
            trouble: counts failures.
            post: accepts failures of recognition.
        """
        self._talk = talk
        self._config = config
        self._first_words = first_words
        self._trouble = trouble
        self._post = post
        self._is_done = False

    def follow(self, config: AgentConfig) -> None:
        """Go by other settings."""
        self._config = config

    async def engine_lost(self, error: ProviderError, *, is_awaited: bool) -> None:
        """Go on without the engine, as the agent is configured.

        Args:
            error: why it cannot be used any more.
            is_awaited: the caller waits for its answer.
        """
        if self._is_done:
            return
        self._is_done = True
        talk, settings = self._talk, self._talk.agent.config.s2s
        if is_awaited:
            await talk.floor.interrupt("engine")
        talk.dialogue.close()
        goes_on = settings is not None and settings.on_failure == "cascade"
        goes_on = goes_on and not isinstance(error, SpendingLimit)
        what = "cascade" if goes_on else ""
        talk.call.note(events.EngineLost(problem=str(error), cause=error.kind, goes_on=what))
        self._trouble.count(error)
        if goes_on:
            self._use_cascade()
        if talk.ending is not None or (talk.floor.is_bots and goes_on):
            return
        if not goes_on:
            await talk.floor.interrupt("engine")
            talk.ending = Ending("failed", str(error))
            await talk.say(talk.agent.config.give_up)
        elif is_awaited:
            await self._answer()

    def _use_cascade(self) -> None:
        talk, config = self._talk, self._config
        talk.agent = replace(talk.agent, config=config, speech=None)
        talk.floor.follow(config)
        taker = talk.listener.taker
        taker.know_words(known=True)
        taker.set_interruptible(interruptible=config.turn.barge_in.interruptible)
        talk.use(CascadeDialogue(talk, self._post))

    async def _answer(self) -> None:
        """Answer what the caller waits for; without its words the caller is asked again."""
        talk = self._talk
        messages = talk.context.messages()
        if self._first_words.opening.is_unheard or not messages:
            await self._first_words.begin()
        elif isinstance(messages[-1], UserMessage) and is_answerable(messages):
            await talk.dialogue.answer()
        else:
            await talk.say(talk.agent.config.fallback)
