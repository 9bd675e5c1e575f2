"""Cascade: one reply of a language model, with its tools, as a stream of speakable pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import cast

import structlog

from gateway.call.events import HistoryShortened
from gateway.call.live_call import LiveCall
from gateway.call.steering import AnswerRequest
from gateway.conversation.agent import Agent
from gateway.conversation.answer import Answer
from gateway.conversation.asking import expected_by
from gateway.conversation.bill import Bill
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.growing import Growing
from gateway.conversation.model_stream import ModelStream
from gateway.conversation.reply import Outcome, Reply
from gateway.conversation.reply_tools import ReplyTools
from gateway.conversation.running_tools import RunningTools
from gateway.conversation.spending import Spending
from gateway.errors import ContextExceeded, ProviderError, ProviderTimeout
from gateway.providers.call_ids import free_call_id
from gateway.providers.contracts import (
    Accounting,
    Expect,
    Memo,
    ReplyEvent,
    ReplyRequest,
    Retracted,
    TextDelta,
    Thinking,
    ToolCall,
    UserMessage,
)

MAX_ROUNDS = 8
"""A model may call tools this number of times within one reply."""
_MAX_EMPTY = 2
"""Answers without a word or a tool call that are a failure: the next try is made at once."""

log = structlog.get_logger(__name__)


class Cascade:
    """Asks the agent's language model for one reply after another."""

    def __init__(
        self, call: LiveCall, agent: Agent, context: ChatContext, tools: RunningTools
    ) -> None:
        self._call = call
        self._context = context
        self._tools = tools
        self._reply_tools = ReplyTools(call, agent.tools, context, tools)
        self._spending = Spending.of(call, agent.config.llm_limits)
        self.follow(agent)

    def follow(self, agent: Agent) -> None:
        """Ask this agent's language model from the next request on."""
        self._agent = agent
        self._guesses = not getattr(agent.llm, "tells_what_it_expects", False)
        self.answers_meanwhile = not getattr(agent.llm, "waits_for_tools", False)
        """Something else may be said while a tool runs."""

    async def pieces(self, reply: Reply) -> AsyncGenerator[str | Growing, None]:
        """Yield a reply piece by piece; runs tools in between.

        Raises:
            ProviderError: the language model failed.
        """
        if isinstance(reply.unfinished, Answer):
            answer = reply.unfinished.rest(reply)
        else:
            await self._wait_for_earlier_tools(reply)
            reply.figures.earlier_tools += self._call.take_tool_uses()
            answer = Answer(reply, self._context.bring_forward())
        is_over = False
        try:
            async with aclosing(self._rounds(answer, reply)) as pieces:
                async for piece in pieces:
                    yield piece
            is_over = True
        except ProviderError:
            is_over = True  # the fallback is said: the next answer knows it
            reply.unfinished = None
            raise
        finally:
            if is_over or reply.heard_text():
                self._context.told(answer.tells)

    async def _rounds(self, answer: Answer, reply: Reply) -> AsyncGenerator[str | Growing, None]:
        empty = 0
        for _ in range(MAX_ROUNDS):
            try:
                async with aclosing(self._pieces_of(answer, reply)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:  # cut or failed: what was heard of it must have its place in the history
                answer.settle()
                is_heard = bool(self._agent.voice.reading(answer.text))
                self._context.add_assistant(answer.text if is_heard else "", answer.calls)
            actions = len(reply.outcome.actions)
            hints = reply.outcome.hints
            if answer.calls:
                await self._reply_tools.run(answer.calls, reply)
            if reply.outcome.handed_over:
                reply.outcome.is_answer = True
                return
            hints = reply.outcome.hints - hints
            only_acts = len(reply.outcome.actions) - actions + hints == len(answer.calls)
            reply.outcome.expect = reply.outcome.expect or self.expected_by(answer.text)
            said = answer.goes_on or any(map(self._agent.voice.reading, reply.figures.generated))
            acts = bool(reply.outcome.actions)
            if (said and only_acts) or (acts and not answer.calls):  # it needs no last word
                reply.outcome.is_answer = True
                return
            empty += not answer.calls
            if empty == _MAX_EMPTY:
                raise ProviderError(self._agent.name, "gave an empty answer")
            answer = Answer(reply, answer.tells)
        raise ProviderError(self._agent.name, f"called tools {MAX_ROUNDS} times in one reply")

    def expected_by(self, text: str) -> Expect | None:
        """Return what the bot's words ask for, unless the model reports that itself."""
        return expected_by(text, self._agent.questions) if self._guesses else None

    async def _pieces_of(self, answer: Answer, reply: Reply) -> AsyncGenerator[str | Growing, None]:
        """Yield the pieces of one answer.  Closed before its end it leaves it as `unfinished`."""
        if answer.stream is None:
            answer.stream = ModelStream(self._call.group, self._asked(reply))
        reply.unfinished = answer
        for piece in answer.pieces():
            yield piece
        async for event in answer.stream:
            if isinstance(event, ToolCall):
                answer.calls.append(self._with_free_id(event, answer.calls))
            elif isinstance(event, TextDelta | Retracted):
                answer.take(event)
            else:
                self._keep(event, reply.outcome)
            for piece in answer.pieces():
                yield piece
        answer.complete()
        for piece in answer.pieces():
            yield piece
        reply.unfinished = None

    async def _asked(self, reply: Reply) -> AsyncGenerator[ReplyEvent, None]:
        """Ask, and with less of the history where it is too long for the model."""
        while True:
            has_begun = False
            try:
                async with aclosing(self._events(reply)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
            except ContextExceeded as error:
                if has_begun or not self._context.shorten():
                    raise
                log.warning("history_shortened", problem=str(error))
                self._call.note(HistoryShortened(problem=str(error)))
            else:
                return

    async def _events(self, reply: Reply) -> AsyncGenerator[ReplyEvent, None]:
        config = self._agent.config
        loop = asyncio.get_running_loop()
        bill, request = Bill.of(
            self._agent, self._call, self._spending, reply.outcome, self._request(reply)
        )
        events = cast("AsyncGenerator[ReplyEvent, None]", self._agent.llm.reply(request))
        async with AsyncExitStack() as stack:
            if bill is not None:
                stack.callback(bill.close)
            await stack.enter_async_context(aclosing(events))
            try:
                async with asyncio.timeout(config.llm_timeout_s) as limit:
                    async for event in events:
                        if isinstance(event, Thinking):
                            limit.reschedule(loop.time() + config.llm_timeout_s)
                            continue
                        if bill is not None:
                            bill.see(event)
                        if isinstance(event, Accounting):
                            continue
                        limit.reschedule(None)
                        if reply.figures.first_token_s is None:
                            reply.figures.first_token_s = loop.time()
                        yield event
            except TimeoutError as error:
                problem = f"no answer within {config.llm_timeout_s:g} s"
                raise ProviderTimeout(self._agent.name, problem) from error

    def _request(self, reply: Reply) -> ReplyRequest:
        context, own = self._context, reply.request or AnswerRequest()
        tools = (*self._agent.tools.specs, *self._call.terms.tools)
        messages = context.messages()
        if own.messages is not None:  # with the rounds of this reply so far
            messages = (*own.messages, *context.of_reply())
        return ReplyRequest(
            instructions=context.instructions if own.instructions is None else own.instructions,
            messages=messages,
            tools=tools if own.tools is None else own.tools,
            memo=context.memo,
        )

    def _with_free_id(self, call: ToolCall, others: list[ToolCall]) -> ToolCall:
        """Some servers count calls anew per request: a late result must find its own."""
        made_now = {other.id for other in others}
        if not self.answers_meanwhile and call.id not in made_now:
            return call
        return replace(call, id=free_call_id(call.id, lambda it: it in made_now or self._knows(it)))

    def _knows(self, call_id: str) -> bool:
        return self._context.has_call(call_id) or self._tools.has_left(call_id)

    def _keep(self, event: ReplyEvent, outcome: Outcome) -> None:
        if isinstance(event, Memo):
            self._context.keep_memo(event.state)
        elif isinstance(event, Expect):
            outcome.expect = event

    async def _wait_for_earlier_tools(self, reply: Reply) -> None:
        """Wait for the tools of a reply that was cut, unless there is something else to answer."""
        messages = self._context.messages()
        is_asked = bool(messages) and isinstance(messages[-1], UserMessage)
        if not (is_asked and self.answers_meanwhile):
            await self._reply_tools.wait_for_earlier(reply)
