"""Cascade: one reply of a language model, with its tools, as a stream of speakable pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from gateway.conversation.actions import PauseRecording
from gateway.conversation.agent import Agent
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.live_call import LiveCall
from gateway.conversation.reply import Outcome, Reply
from gateway.conversation.sentences import SentenceSplitter
from gateway.conversation.token_count import TokenCount
from gateway.conversation.tools import CallContext, ToolOutcome
from gateway.errors import ProviderError, ProviderTimeout
from gateway.providers.contracts import (
    Expect,
    Memo,
    ReplyEvent,
    ReplyRequest,
    TextDelta,
    ToolCall,
    Usage,
)
from gateway.records.model import ToolUse

MAX_ROUNDS = 8
"""So often may a model call tools within one reply."""


class Cascade:
    """Asks the agent's brain for one reply after another."""

    def __init__(self, call: LiveCall, agent: Agent, context: ChatContext) -> None:
        self._call = call
        self._agent = agent
        self._context = context
        facts = call.line.facts
        self._facts = CallContext(facts.call_id, facts.caller, facts.called, agent.name)

    async def pieces(self, reply: Reply) -> AsyncGenerator[str, None]:
        """Yield a reply piece by piece; runs tools in between.

        Raises:
            ProviderError: the brain failed.
        """
        for _ in range(MAX_ROUNDS):
            splitter = SentenceSplitter()
            text: list[str] = []
            calls: list[ToolCall] = []
            try:
                async with aclosing(self._events(reply)) as events:
                    async for event in events:
                        if isinstance(event, TextDelta):
                            text.append(event.text)
                            for piece in splitter.push(event.text):
                                yield piece
                        elif isinstance(event, ToolCall):
                            calls.append(event)
                        else:
                            self._keep(event, reply.outcome)
                for piece in splitter.flush():
                    yield piece
            finally:  # cut or failed: what was heard of it must have its place in the history
                self._context.add_assistant("".join(text), calls)
            actions = len(reply.outcome.actions)
            if calls:
                await self._run_tools(calls, reply)
            only_acts = len(reply.outcome.actions) - actions == len(calls)
            if not calls or (only_acts and reply.figures.generated):  # it needs no last word
                if not reply.figures.generated and not reply.outcome.actions:
                    raise ProviderError(self._agent.name, "gave an empty answer")
                reply.outcome.is_answer = True
                return
        raise ProviderError(self._agent.name, f"called tools {MAX_ROUNDS} times in one reply")

    async def _events(self, reply: Reply) -> AsyncGenerator[ReplyEvent, None]:
        config = self._agent.config
        loop = asyncio.get_running_loop()
        request = ReplyRequest(
            instructions=self._context.instructions,
            messages=self._context.messages(),
            tools=self._agent.tools.specs,
            memo=self._context.memo,
        )
        brain = self._agent.brain
        count = TokenCount(reply.outcome, request) if brain.counts_tokens else None
        events = cast("AsyncGenerator[ReplyEvent, None]", brain.reply(request))
        async with aclosing(events):
            try:
                async with asyncio.timeout(config.llm_timeout_s) as limit:
                    async for event in events:
                        limit.reschedule(None)
                        if reply.figures.first_token_s is None:
                            reply.figures.first_token_s = loop.time()
                        if count is not None:
                            count.see(event)
                        yield event
            except TimeoutError as error:
                problem = f"no answer within {config.llm_timeout_s:g} s"
                raise ProviderTimeout(self._agent.name, problem) from error

    def _keep(self, event: Expect | Memo | Usage, outcome: Outcome) -> None:
        if isinstance(event, Memo):
            self._context.keep_memo(event.state)
        elif isinstance(event, Expect):
            outcome.expect = event
        else:
            self._call.metrics.llm_tokens.labels("input").inc(event.input_tokens)
            self._call.metrics.llm_tokens.labels("output").inc(event.output_tokens)

    async def _run_tools(self, calls: list[ToolCall], reply: Reply) -> None:
        is_acting = any(self._agent.tools.has_side_effects(call.name) for call in calls)
        if is_acting:  # never for a turn that may go on
            await reply.surely_over.wait()
            reply.outcome.has_acted = True
        started_s = asyncio.get_running_loop().time()
        for call in calls:
            self._call.note("tool_called", tool=call.name, arguments=call.arguments)
        running = self._call.group.create_task(self._agent.tools.run_all(calls, self._facts))
        try:
            await asyncio.shield(running)
        finally:
            # An interruption silences the bot at once, but what a tool has begun is brought to its
            # end and told to the model: else the next reply would order everything again.  One
            # that only reads is dropped.
            if not is_acting:
                running.cancel()
            if not running.done():
                await asyncio.wait([running])
            if running.cancelled():
                for call in calls:
                    self._call.note("tool_dropped", tool=call.name)
            else:
                took_ms = round((asyncio.get_running_loop().time() - started_s) * 1000, 1)
                self._keep_results(calls, running.result(), took_ms, reply)

    def _keep_results(
        self,
        calls: list[ToolCall],
        outcomes: list[ToolOutcome],
        took_ms: float,
        reply: Reply,
    ) -> None:
        for call, found in zip(calls, outcomes, strict=True):
            self._note_result(call, found, took_ms, reply)
            if isinstance(found.action, PauseRecording):
                self._call.pause_recording(paused=found.action.paused)
            elif found.action is not None:
                reply.outcome.actions.append(found.action)
                reply.outcome.action_results.append(found.result)
        self._context.add_tool_results([found.result for found in outcomes])

    def _note_result(
        self, call: ToolCall, found: ToolOutcome, took_ms: float, reply: Reply
    ) -> None:
        result = found.result
        self._call.note(
            "tool_finished", tool=call.name, result=result.content, is_error=result.is_error
        )
        self._call.metrics.tool_calls.labels(call.name, "error" if result.is_error else "ok").inc()
        reply.figures.tools.append(
            ToolUse(
                name=call.name,
                arguments=call.arguments,
                result=result.content,
                is_error=result.is_error,
                duration_ms=took_ms,
            )
        )
