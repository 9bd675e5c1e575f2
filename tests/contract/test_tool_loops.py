"""Async tools on real loops of their own: one that blocks freezes nobody, and is named."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
import time

from gateway.conversation import tool_loops
from gateway.conversation.tool_loops import ToolLoops
from gateway.conversation.tools import CallContext, FunctionTool, ToolBox
from gateway.providers.contracts import ToolCall

CONTEXT = CallContext("call-1", "alice", "100", "reception")
call_id = contextvars.ContextVar("call_id", default="")


async def where() -> str:
    """Tell thread and context."""
    await asyncio.sleep(0)
    return f"{threading.current_thread().name} {call_id.get()}"


async def block(seconds: float) -> str:
    """Do what no async function may do."""
    time.sleep(seconds)  # noqa: ASYNC251  # the point of it
    return "done"


async def leave() -> None:
    """Try to end the process."""
    raise SystemExit(3)


async def fail() -> None:
    """Fail."""
    raise ValueError("no such table")


async def wait() -> str:
    """Never end by itself."""
    try:
        await asyncio.sleep(60)
    finally:
        ended.set()
    return "never"


ended = threading.Event()


def box(*functions, loops, timeout_s=10.0):
    return ToolBox([FunctionTool.of(f) for f in functions], timeout_s=timeout_s, loops=loops)


async def content(tools, name, arguments="{}"):
    outcome = await tools.run(ToolCall("c1", name, arguments), CONTEXT)
    return json.loads(outcome.result.content)


def play(test, *functions, **options):
    async def main():
        loops = ToolLoops()
        tools = box(*functions, loops=loops, **options)
        try:
            async with asyncio.timeout(20):
                await test(tools)
        finally:
            tools.close()
            loops.close()

    asyncio.run(main())


def test_it_runs_on_another_thread_with_the_calls_context():
    async def test(tools):
        call_id.set("call-1")
        name, bound = (await content(tools, "where")).split()
        assert name == "tools-1"
        assert bound == "call-1"

    play(test, where)


def test_one_that_blocks_freezes_neither_the_calls_nor_other_tools(monkeypatch):
    monkeypatch.setattr(tool_loops, "STALLED_S", 0.2)
    logs: list[dict] = []

    class Log:
        def warning(self, event, **data):
            logs.append({"event": event, **data})

    monkeypatch.setattr(tool_loops, "log", Log())

    async def test(tools):
        turns = 0

        async def count():
            nonlocal turns
            while True:
                await asyncio.sleep(0.02)
                turns += 1

        async with asyncio.TaskGroup() as group:
            counting = group.create_task(count())
            blocked = group.create_task(content(tools, "block", '{"seconds": 2}'))
            while not logs:  # noqa: ASYNC110  # filled by another task
                await asyncio.sleep(0.05)
            assert not blocked.done()
            assert (await content(tools, "where")).startswith("tools-2")
            assert not blocked.done()
            assert await blocked == "done"
            counting.cancel()
        assert turns > 20
        (entry,) = logs
        line = block.__code__.co_firstlineno + 2
        assert (entry["event"], entry["tool"]) == ("tool_blocks", "block")
        assert entry["at"] == f"{__file__}:{line}"

    play(test, block, where)


def test_the_limit_holds_though_it_blocks():
    async def test(tools):
        began = time.monotonic()
        assert "within 0.2 s" in (await content(tools, "block", '{"seconds": 1.5}'))["error"]
        assert time.monotonic() - began < 1.2

    play(test, block, timeout_s=0.2)


def test_what_it_raises_is_its_result_and_its_thread_goes_on():
    async def test(tools):
        assert "SystemExit" in (await content(tools, "leave"))["error"]
        assert (await content(tools, "fail"))["error"] == "ValueError: no such table"
        assert (await content(tools, "where")).startswith("tools-1")

    play(test, leave, fail, where)


def test_a_limit_cancels_it_there():
    async def test(tools):
        ended.clear()
        assert "within 0.1 s" in (await content(tools, "wait"))["error"]
        assert await asyncio.to_thread(ended.wait, 5)

    play(test, wait, timeout_s=0.1)


def test_closing_ends_what_runs():
    async def test(tools):
        ended.clear()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(content(tools, "wait"))
            await asyncio.sleep(0.1)
            task.cancel()

    play(test, wait)
    assert ended.wait(5)
