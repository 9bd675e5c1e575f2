"""RunningTools: the function tools of one call; they never block its loop.

A reply starts tools and waits for them.  When the caller cuts it, what has begun goes on here: the
history says so meanwhile, its result takes that place when it comes and is told to the caller.
The call may end meanwhile: its line does not wait, its record does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace

from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.config.models.pace import Pace
from gateway.conversation.actions import ExpectAnswer, PauseRecording, undone_action
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.tools import CallContext, ToolBox, ToolOutcome, failed_outcome
from gateway.errors import CommandError, ProviderError
from gateway.providers.contracts import ToolCall, ToolResult
from gateway.providers.speech_to_speech import DELEGATED
from gateway.records.model import ToolUse

PENDING = (
    '{"status": "still running", "note": "The result follows. Do not call it again, and do not'
    ' say that it is done."}'
)
"""What the model is told of a tool that a cut reply has begun."""
DROPPED = '{"error": "broken off: its reply was dropped"}'
"""In the record: it only read, and was not waited for."""
STOPPED = '{"error": "broken off by the end of the gateway: what came of it is not known"}'


@dataclass(frozen=True, slots=True)
class RunningTool:
    """One tool call that has begun."""

    call: ToolCall
    task: asyncio.Task[ToolOutcome]
    began_s: float

    @property
    def outcome(self) -> ToolOutcome | None:
        """What came of it; None while it runs."""
        if not self.task.done():
            return None
        if self.task.cancelled():
            return ToolOutcome(ToolResult(self.call.id, self.call.name, STOPPED, is_error=True))
        found = self.task.result()
        # It may be the task of the same call, made before under another id.
        return replace(found, result=replace(found.result, call_id=self.call.id))


class RunningTools:
    """Every tool of a conversation that runs."""

    def __init__(
        self,
        call: LiveCall,
        box: ToolBox,
        facts: CallContext,
        context: ChatContext,
        on_result: Callable[[], None],
    ) -> None:
        """Start with none.

        Args:
            call: which has them run.
            box: runs them.
            facts: what they may know of the call.
            context: where the results of those go whose reply was cut.
            on_result: told of each of these results.
        """
        self._call = call
        self._box = box
        self._facts = facts
        self._context = context
        self._on_result = on_result
        self._left: list[RunningTool] = []
        self.change_pace: Callable[[Pace], Coroutine[None, None, str]] | None = None
        """Has the agent's voice, or its engine, speak slower or faster."""
        self.delegate: Callable[[ToolCall], Coroutine[None, None, ToolOutcome]] | None = None
        """Does what an engine hands to the agent's own language model (`DELEGATED`)."""

    def take_over(self, earlier: RunningTools) -> None:
        """Bring to their end what the conversation of another agent has begun."""
        taken, earlier._left = earlier._left, []
        for tool in taken:
            self._wait_for(tool)

    def _wait_for(self, tool: RunningTool) -> None:
        self._left.append(tool)
        tool.task.add_done_callback(lambda _: self._take(tool))

    @property
    def is_running(self) -> bool:
        """True while a tool of a cut reply runs."""
        return bool(self._left)

    @property
    def owes(self) -> bool:
        """True while the caller is to be told something that no reply is about."""
        return bool(self._left) or self._context.has_untold

    def has_left(self, call_id: str) -> bool:
        """Return whether a tool of a cut reply runs under this id."""
        return any(tool.call.id == call_id for tool in self._left)

    def start(self, calls: Sequence[ToolCall]) -> list[RunningTool]:
        """Begin calls, side by side.

        What acts and runs already for a reply that was cut is not begun again: the model repeats
        itself.  Within one answer nothing is a repetition, and what only reads may be read twice.
        """
        began_s = asyncio.get_running_loop().time()
        started: list[RunningTool] = []
        for call in calls:
            self._call.note(events.ToolCalled(tool=call.name, arguments=call.arguments))
            task = self._running(call, [tool.task for tool in started])
            task = task or self._call.run_tool(self._outcome(call))
            started.append(RunningTool(call, task, began_s))
        return started

    async def _outcome(self, call: ToolCall) -> ToolOutcome:
        if call.name == DELEGATED and self.delegate is not None:
            return await self.delegate(call)
        found = await self._box.run(call, self._facts)
        return found if found.pace is None else await self._paced(call, found.pace)

    async def _paced(self, call: ToolCall, pace: Pace) -> ToolOutcome:
        if self.change_pace is None:
            return failed_outcome(call, "the rate of this voice cannot be changed")
        try:
            status = await self.change_pace(pace)
        except (CommandError, ProviderError) as error:
            return failed_outcome(call, str(error))
        return ToolOutcome(ToolResult(call.id, call.name, json.dumps({"status": status})))

    def _running(
        self, call: ToolCall, taken: Sequence[asyncio.Task[ToolOutcome]]
    ) -> asyncio.Task[ToolOutcome] | None:
        if not self._box.has_side_effects(call.name):
            return None
        same = (tool.task for tool in self._left if _is_same(tool.call, call))
        return next((task for task in same if task not in taken), None)

    def drop(self, tools: Sequence[RunningTool]) -> list[ToolUse]:
        """Give up those of a reply that was cut and whose tools only read; returns the record."""
        uses = []
        for tool in tools:
            self._call.note(events.ToolDropped(tool=tool.call.name))
            is_over = tool.task.done()
            tool.task.cancel()
            dropped = ToolResult(tool.call.id, tool.call.name, DROPPED, is_error=True)
            result = tool.outcome.result if is_over and tool.outcome else dropped
            use = use_of(tool.call, result, self._took_ms(tool))
            uses.append(use.model_copy(update={"is_dropped": True}))
        return uses

    def leave(self, tool: RunningTool) -> ToolOutcome:
        """Let one go on whose reply was cut; gives what the model is told meanwhile."""
        self._wait_for(tool)
        self._call.note(events.ToolContinues(tool=tool.call.name))
        return ToolOutcome(ToolResult(tool.call.id, tool.call.name, PENDING, is_running=True))

    async def finished(self) -> None:
        """Wait for all that were left."""
        while self._left:
            await asyncio.wait([tool.task for tool in self._left])

    def note(self, tool: RunningTool, found: ToolOutcome) -> ToolUse:
        """Record what came of one."""
        result = found.result
        self._call.note(
            events.ToolFinished(
                tool=tool.call.name, result=result.content, is_error=result.is_error
            )
        )
        outcome = "error" if result.is_error else "ok"
        self._call.metrics.tool_calls.labels(tool.call.name, outcome).inc()
        return use_of(tool.call, result, self._took_ms(tool))

    def _took_ms(self, tool: RunningTool) -> float:
        return round((asyncio.get_running_loop().time() - tool.began_s) * 1000, 1)

    def _take(self, tool: RunningTool) -> None:
        if tool not in self._left:
            return  # another agent's conversation waits for it
        self._left.remove(tool)
        found = tool.outcome
        assert found is not None  # noqa: S101 - its task is done
        if isinstance(found.action, PauseRecording):
            self._call.pause_recording(paused=found.action.paused)
        elif found.action is not None and not isinstance(found.action, ExpectAnswer):
            found = ToolOutcome(undone_action(found.result))
        self._call.tool_uses.append(self.note(tool, found))
        self._context.settle(found.result)
        self._on_result()


def use_of(call: ToolCall, result: ToolResult, took_ms: float | None = None) -> ToolUse:
    """Make the record of a tool call."""
    return ToolUse(
        name=call.name,
        arguments=call.arguments,
        result=result.content,
        is_error=result.is_error,
        duration_ms=took_ms,
    )


def _is_same(one: ToolCall, other: ToolCall) -> bool:
    return one.name == other.name and _canonical(one.arguments) == _canonical(other.arguments)


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except ValueError:
        return arguments
