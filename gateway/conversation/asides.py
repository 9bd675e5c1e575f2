"""Asides: answers beside the conversation, for a client that reads them; nothing is remembered."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from gateway.call.steering import AnswerRequest
from gateway.conversation.bill import Bill
from gateway.conversation.reply import Outcome
from gateway.conversation.spending import Spending
from gateway.conversation.talk import Talk
from gateway.errors import ProviderError
from gateway.providers.contracts import ReplyRequest, TextDelta, ToolCall

MOST_AT_ONCE = 4


class Asides:
    """The answers beside one conversation that are under way."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, key: str, request: AnswerRequest) -> None:
        """Begin one; it ends with `CallObserver.aside_over`."""
        if len(self._tasks) >= MOST_AT_ONCE:
            self._over(key, f"at most {MOST_AT_ONCE} answers beside the conversation at once")
            return
        task = self._talk.call.group.create_task(self._run(key, request))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def cancel(self, key: str) -> None:
        """Break one off.  Idempotent."""
        if key in self._tasks:
            self._tasks[key].cancel()

    def close(self) -> None:
        """Break all off."""
        for task in self._tasks.values():
            task.cancel()

    def _over(self, key: str, problem: str, *, is_cancelled: bool = False) -> None:
        for observer in self._talk.call.observers:
            observer.aside_over(key, problem, is_cancelled=is_cancelled)

    async def _run(self, key: str, request: AnswerRequest) -> None:
        problem, is_cancelled = "", True
        try:
            async with asyncio.timeout(self._talk.agent.config.filler.give_up_s):
                await self._answer(key, request)
            is_cancelled = False
        except (ProviderError, TimeoutError) as error:
            problem, is_cancelled = str(error) or "no answer in time", False
        finally:
            self._over(key, problem, is_cancelled=is_cancelled)

    async def _answer(self, key: str, own: AnswerRequest) -> None:
        talk = self._talk
        context, call, agent = talk.context, talk.call, talk.agent
        request = ReplyRequest(
            instructions=context.instructions if own.instructions is None else own.instructions,
            messages=context.messages() if own.messages is None else own.messages,
            tools=call.terms.tools if own.tools is None else own.tools,
        )
        spending = Spending.of(call, agent.config.llm_limits)
        bill, request = Bill.of(agent, call, spending, Outcome(), request)
        calls: list[ToolCall] = []
        try:
            async with aclosing(agent.llm.reply(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    if bill is not None:
                        bill.see(event)
                    if isinstance(event, ToolCall):
                        calls.append(event)
                    elif isinstance(event, TextDelta):
                        self._tell(key, event.text, [])
        finally:
            if bill is not None:
                bill.close()
        self._tell(key, "", calls)

    def _tell(self, key: str, text: str, calls: list[ToolCall]) -> None:
        for observer in self._talk.call.observers:
            observer.aside(key, text, calls)
