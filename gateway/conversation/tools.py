"""ToolBox: runs the function tools of an agent.

One per agent, shared by its calls.  Sync functions run on threads of its own, async functions on a
loop for tools, so that neither holds up the loop of the calls.  Whatever a tool does, the model
gets a result.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from gateway.config.models.pace import Pace
from gateway.conversation.actions import (
    Action,
    ChangePace,
    ExpectAnswer,
    PauseRecording,
)
from gateway.conversation.function_tool import CallContext, FunctionTool, load_tool, tool
from gateway.conversation.tool_loops import ToolLoops
from gateway.errors import ToolError
from gateway.providers.contracts import ToolCall, ToolResult, ToolSpec
from gateway.threads import BlockingEngine

__all__ = ["CallContext", "FunctionTool", "ToolBox", "ToolOutcome", "load_tool", "tool"]

MAX_RESULT_CHARS = 8000
MAX_THREADS = 16


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What came of a tool call."""

    result: ToolResult
    """For the model, at once."""
    action: Action | PauseRecording | ExpectAnswer | None = None
    """For the conversation, to be performed after playout: a tool asks for it by returning it."""
    pace: Pace | None = None
    """To speak so from the next sentence on."""


class ToolBox:
    """Validates, runs and answers tool calls."""

    def __init__(
        self,
        tools: Sequence[FunctionTool],
        builtins: Sequence[FunctionTool] = (),
        *,
        timeout_s: float = 10.0,
        loops: ToolLoops | None = None,
    ) -> None:
        """Store the tools.

        Args:
            tools: the agent's.
            builtins: those that come with the gateway.
            timeout_s: limit of a tool that has none of its own.
            loops: where async tools run; None = on the caller's loop, which they must not block.

        Raises:
            ToolError: two of them have the same name.
        """
        self._tools: dict[str, FunctionTool] = {}
        for each in (*tools, *builtins):
            if each.spec.name in self._tools:
                raise ToolError(each.spec.name, "there are two tools of this name")
            self._tools[each.spec.name] = each
        self._timeout_s = timeout_s
        self._loops = loops
        self._threads = _Threads()

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told about the tools."""
        return tuple(each.spec for each in self._tools.values())

    def has_side_effects(self, name: str) -> bool:
        """True unless the tool is known to be read-only: then it may run in a speculative reply."""
        return name not in self._tools or self._tools[name].side_effects

    async def run(self, call: ToolCall, context: CallContext) -> ToolOutcome:
        """Run one call; its failures are results too.  Cancelling drops it.

        A sync function that was cancelled or timed out runs on in its thread, unheard.
        """
        try:
            found, arguments = self._bind(call)
            value = await self._limited(found, context, arguments)
            return _succeeded(call, value)
        except ToolError as exc:
            return failed_outcome(call, exc.problem)
        except (Exception, SystemExit) as exc:  # noqa: BLE001  # border to user code
            return failed_outcome(call, f"{type(exc).__name__}: {exc}")

    def close(self) -> None:
        """Give the threads back.  Waits for none: one that hangs ends with its function."""
        self._threads.close()

    def _bind(self, call: ToolCall) -> tuple[FunctionTool, dict[str, Any]]:
        found = self._tools.get(call.name)
        if found is None:
            known = ", ".join(self._tools) or "none"
            raise ToolError(call.name, f"there is no tool {call.name!r}; there are: {known}")
        try:
            return found, found.bind(call.arguments)
        except ValidationError as exc:
            raise ToolError(call.name, f"wrong arguments, correct them: {_faults(exc)}") from exc

    async def _limited(
        self, found: FunctionTool, context: CallContext, arguments: dict[str, Any]
    ) -> object:
        limit_s = found.timeout_s or self._timeout_s
        limit = asyncio.timeout(limit_s)
        positional = (context,) if found.takes_context else ()
        try:
            async with limit:
                call = partial(found.function, *positional, **arguments)
                if not found.is_async:
                    return await self._threads.call(call)
                if self._loops is None:
                    return await call()
                return await self._loops.run(found.spec.name, call)
        except TimeoutError as exc:
            if not limit.expired():
                raise  # the tool's own
            raise ToolError(found.spec.name, f"gave no result within {limit_s:g} s") from exc


class _Threads:
    """Engines on demand; one that is still busy with an abandoned function is not used again."""

    def __init__(self) -> None:
        self._idle: deque[BlockingEngine] = deque()
        self._busy: set[BlockingEngine] = set()
        self._started = 0

    async def call(self, function: Callable[[], object]) -> object:
        engine = self._take()
        log_context = contextvars.copy_context()  # so that its log lines carry the call's id

        has_begun = False

        def run() -> object:
            nonlocal has_begun
            has_begun = True
            try:
                return log_context.run(function)
            except StopIteration as exc:  # a future cannot carry it: its await would never end
                raise RuntimeError("StopIteration: next() found nothing") from exc
            finally:
                self._give_back(engine)

        try:
            return await engine.call(run)
        finally:
            if not has_begun:  # cancelled before the thread took it
                self._give_back(engine)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self._busy.clear()  # an executor without owner ends its thread when it has nothing to do

    def _take(self) -> BlockingEngine:
        if self._idle:
            engine = self._idle.pop()
        elif len(self._busy) < MAX_THREADS:
            self._started += 1
            engine = BlockingEngine(f"tool-{self._started}")
        else:
            raise RuntimeError("too many tools are running, try again later")
        self._busy.add(engine)
        return engine

    def _give_back(self, engine: BlockingEngine) -> None:
        """Return an engine to the pool.  Tool thread; `close` may come between the steps."""
        try:
            self._busy.remove(engine)
        except KeyError:
            return
        self._idle.append(engine)


def _succeeded(call: ToolCall, value: object) -> ToolOutcome:
    if isinstance(value, Action):
        content = '{"status": "will be done when what you have said so far was played"}'
        return ToolOutcome(ToolResult(call.id, call.name, content), value)
    if isinstance(value, ChangePace):
        return ToolOutcome(ToolResult(call.id, call.name, '{"status": "done"}'), pace=value.pace)
    if isinstance(value, PauseRecording | ExpectAnswer):
        return ToolOutcome(ToolResult(call.id, call.name, '{"status": "done"}'), value)
    try:
        made = to_json({"status": "ok"} if value is None else value, inf_nan_mode="null")
    except PydanticSerializationError as exc:
        raise ToolError(call.name, f"its result cannot be written as JSON: {exc}") from exc
    return ToolOutcome(ToolResult(call.id, call.name, _bounded(made.decode())))


def failed_outcome(call: ToolCall, problem: str) -> ToolOutcome:
    """Make the outcome of a call that has failed."""
    content = json.dumps({"error": problem[:MAX_RESULT_CHARS]}, ensure_ascii=False)
    return ToolOutcome(ToolResult(call.id, call.name, content, is_error=True))


def _bounded(content: str) -> str:
    """Keep a long result's beginning, as JSON that says so."""
    if len(content) <= MAX_RESULT_CHARS:
        return content
    note = f"the result had {len(content)} characters; this is its beginning"
    return json.dumps({"note": note, "beginning": content[:MAX_RESULT_CHARS]}, ensure_ascii=False)


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False)
    return "; ".join(
        ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"])))
        for fault in faults
    )
