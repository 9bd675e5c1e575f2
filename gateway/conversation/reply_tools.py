"""ReplyTools: the tools that a reply calls, from the call to what the model is told of it.

An interruption silences the bot at once and is answered at once, but what a tool has begun is
brought to its end and reported to the model: otherwise the next reply would order everything again.
A tool that only reads is dropped with its reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.conversation.actions import ExpectAnswer, PauseRecording
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.reply import Reply
from gateway.conversation.running_tools import (
    DROPPED,
    PENDING,
    RunningTool,
    RunningTools,
    use_of,
)
from gateway.conversation.tools import ToolBox
from gateway.providers.contracts import ToolCall, ToolResult


class ReplyTools:
    """Runs tools for one reply after another."""

    def __init__(
        self, call: LiveCall, box: ToolBox, context: ChatContext, running: RunningTools
    ) -> None:
        self._call = call
        self._box = box
        self._context = context
        self._running = running

    async def run(
        self,
        calls: Sequence[ToolCall],
        reply: Reply,
        told: Callable[[Sequence[ToolResult]], None] = lambda _: None,
    ) -> None:
        """Run calls side by side; results go to the history, actions to the outcome of the reply.

        What has side effects is begun only once the caller's turn is surely over.  A cancelled
        reply leaves what has begun to `RunningTools`.

        Args:
            calls: of one answer.
            reply: that has made them.
            told: called with what the engine is to know of each, cancelled or not; a tool that
                goes on is said to be running, a tool that was dropped has failed.
        """
        handed = [call for call in calls if self._call.terms.runs(call.name)]
        if handed:
            calls = [call for call in calls if call not in handed]
            await self._hand_over(handed, reply, told)
        if not calls:
            return
        is_acting = any(self._box.has_side_effects(call.name) for call in calls)
        if is_acting:  # never for a turn that may go on
            await reply.surely_over.wait()
            reply.outcome.has_acted = True
        running = self._running.start(calls)
        try:
            with reply.waiting_for_tools():
                await asyncio.wait([tool.task for tool in running])
        finally:
            if is_acting or all(tool.outcome for tool in running):
                told(self._keep(running, reply))
            else:
                reply.figures.tools += self._running.drop(running)
                told([ToolResult(c.id, c.name, DROPPED, is_error=True) for c in calls])

    async def _hand_over(
        self,
        calls: Sequence[ToolCall],
        reply: Reply,
        told: Callable[[Sequence[ToolResult]], None],
    ) -> None:
        """Let the client of the call run functions: their results come when it has them."""
        await reply.surely_over.wait()
        reply.outcome.has_acted = reply.outcome.handed_over = True
        results = [ToolResult(call.id, call.name, PENDING, is_running=True) for call in calls]
        for call, result in zip(calls, results, strict=True):
            self._call.note(events.ToolCalled(tool=call.name, arguments=call.arguments))
            reply.figures.tools.append(use_of(call, result))
        self._context.add_tool_results(results)
        told(results)
        for observer in self._call.observers:
            for call in calls:
                observer.tool_handed_over(call)

    async def wait_for_earlier(self, reply: Reply) -> None:
        """Wait for the tools of replies that were cut."""
        if self._running.is_running:
            with reply.waiting_for_tools():
                await self._running.finished()

    def _keep(self, running: Sequence[RunningTool], reply: Reply) -> list[ToolResult]:
        results = []
        for tool in running:
            found = tool.outcome
            if found is None:
                found = self._running.leave(tool)
                reply.figures.tools.append(use_of(tool.call, found.result))
            else:
                reply.figures.tools.append(self._running.note(tool, found))
            if isinstance(found.action, PauseRecording):
                self._call.pause_recording(paused=found.action.paused)
            elif isinstance(found.action, ExpectAnswer):
                reply.outcome.expect = found.action.expect
                reply.outcome.hints += 1
            elif found.action is not None:
                reply.outcome.actions.append(found.action)
                reply.outcome.action_results.append(found.result)
                if tool.call.is_followed:
                    reply.outcome.followed.add(tool.call.id)
            results.append(found.result)
        self._context.add_tool_results(results)
        return results
