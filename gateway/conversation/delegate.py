"""Delegate: the agent's own language model and tools, at work for an engine that only speaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import structlog

from gateway.conversation.agent import Agent
from gateway.conversation.cascade import Cascade
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.figures import TurnFigures
from gateway.conversation.reply import Reply
from gateway.conversation.running_tools import RunningTools
from gateway.conversation.talk import Talk
from gateway.conversation.tools import CallContext, ToolOutcome
from gateway.errors import ProviderError, ProviderTimeout
from gateway.providers.contracts import AssistantMessage, Message, ToolCall, ToolResult, UserMessage

log = structlog.get_logger(__name__)


class Delegate:
    """Does one task after the other; their model sees what was said and what it has answered."""

    def __init__(self, talk: Talk) -> None:
        """Prepare.

        Args:
            talk: whose agent's `llm` and tools do the work.
        """
        self._talk = talk
        self._turn = asyncio.Lock()
        self.begin(())

    def begin(self, messages: Sequence[Message]) -> None:
        """Begin with what a new session of the engine begins with."""
        call, agent = self._talk.call, self._talk.agent
        context = self._new_context(messages)
        facts = CallContext.of(call.line.facts, agent.name)
        tools = RunningTools(call, agent.tools, facts, context, lambda: None)
        self._context, self._cascade = context, Cascade(call, agent, context, tools)

    def follow(self, agent: Agent) -> None:
        """Ask this agent's language model from the next request on."""
        self._cascade.follow(agent)

    def _new_context(self, messages: Sequence[Message]) -> ChatContext:
        config = self._talk.agent.config
        context = ChatContext(
            self._talk.context.instructions, config.history_messages, config.history_tokens
        )
        for message in messages:
            if isinstance(message, UserMessage):
                context.add_user(message.text, typed=message.typed)
            elif isinstance(message, AssistantMessage):
                context.add_assistant(message.text, interrupted=message.interrupted)
        return context

    async def run(self, call: ToolCall) -> ToolOutcome:
        """Do a task; a failure is a result, too.

        Args:
            call: its arguments hold what was said since the last task (`DELEGATED`).

        Returns:
            The words that the engine is to speak, and what is done once they were heard.
        """
        async with self._turn:
            limit = asyncio.timeout(self._talk.agent.config.filler.give_up_s)
            try:
                async with limit:
                    return await self._answered(call)
            except TimeoutError:
                if not limit.expired():
                    raise
                return _failed(call, ProviderTimeout(self._talk.agent.name, "gave no answer"))
            except ProviderError as error:
                self._talk.call.metrics.provider_errors.labels(error.provider, error.kind).inc()
                return _failed(call, error)

    async def _answered(self, asked: ToolCall) -> ToolOutcome:
        talk, context, cascade = self._talk, self._context, self._cascade
        context.add_user(_conversation(asked.arguments))
        context.begin()
        reply = Reply(
            talk.call, talk.agent.voice, cascade.pieces, TurnFigures.at(talk.call), lambda: None
        )
        reply.surely_over.set()  # the engine has taken the turn for over
        said = reply.figures.generated  # the cascade judges by it whether there is an answer
        try:
            async with aclosing(cascade.pieces(reply)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):  # a reply that is not spoken has whole sentences
                        reply.figures.generated.append(piece)
        finally:
            context.commit(" ".join(said))
            talk.call.tool_uses += [*reply.figures.earlier_tools, *reply.figures.tools]
        actions = reply.outcome.actions
        if len(actions) > 1:
            log.warning("delegated_actions_left_out", count=len(actions) - 1)
        answer = " ".join(said) or "(There is nothing to say.)"
        return ToolOutcome(ToolResult(asked.id, asked.name, answer), next(iter(actions), None))


def _conversation(arguments: str) -> str:
    """Return what was said; all of the arguments where they are not as the contract has them."""
    try:
        found: Any = json.loads(arguments)
    except ValueError:
        return arguments
    said = found.get("conversation") if isinstance(found, dict) else None
    return said if isinstance(said, str) and said.strip() else arguments


def _failed(call: ToolCall, error: ProviderError) -> ToolOutcome:
    log.warning("delegated_task_failed", problem=str(error))
    text = "The task could not be done for a technical reason."
    return ToolOutcome(ToolResult(call.id, call.name, text, is_error=True))
