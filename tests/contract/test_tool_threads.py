"""Sync tools on real threads: they never hold up the loop, and a hanging one holds up nobody."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
import time
from collections.abc import Callable

from gateway.conversation import tools
from gateway.conversation.tools import CallContext, FunctionTool, ToolBox
from gateway.providers.contracts import ToolCall

CONTEXT = CallContext("call-1", "alice", "100", "reception")
call_id = contextvars.ContextVar("call_id", default="")


def where() -> str:
    """Tell the thread and what its log lines would be bound to."""
    return f"{threading.current_thread().name} {call_id.get()}"


def find_none() -> str:
    return next(iter(()))


def call(name: str, number: int = 0) -> ToolCall:
    return ToolCall(f"c{number}", name, "")


def hanging(release: threading.Event) -> Callable[[], None]:
    def hang() -> None:
        assert release.wait(30)

    return hang


def test_a_sync_tool_runs_beside_the_loop_with_the_calls_context():
    async def main() -> str:
        box = ToolBox([FunctionTool.of(where)])
        call_id.set("call-1")
        outcome = await box.run(call("where"), CONTEXT)
        box.close()
        return str(json.loads(outcome.result.content))

    name, bound = asyncio.run(main()).split()
    assert name.startswith("tool-")
    assert name != threading.current_thread().name
    assert bound == "call-1"


def test_sync_tools_run_side_by_side():
    async def main() -> None:
        meeting = threading.Barrier(3, timeout=20)

        def meet() -> int:
            return meeting.wait()

        box = ToolBox([FunctionTool.of(meet)])
        outcomes = await asyncio.gather(*(box.run(call("meet", n), CONTEXT) for n in range(3)))
        assert [outcome.result.call_id for outcome in outcomes] == ["c0", "c1", "c2"]
        assert {outcome.result.content for outcome in outcomes} == {"0", "1", "2"}
        box.close()

    asyncio.run(main())


def test_threads_are_used_again():
    async def main() -> None:
        box = ToolBox([FunctionTool.of(where)])
        used = {(await box.run(call("where"), CONTEXT)).result.content for _ in range(20)}
        assert len(used) == 1
        box.close()

    asyncio.run(main())


def test_an_exhausted_iterator_is_a_result_and_no_endless_wait():
    async def main() -> None:
        box = ToolBox([FunctionTool.of(find_none)], timeout_s=20)
        outcome = await box.run(call("find_none"), CONTEXT)
        assert "next() found nothing" in outcome.result.content
        box.close()

    asyncio.run(main())


def test_a_hanging_tool_times_out_and_neither_others_nor_close_wait_for_it():
    async def main() -> None:
        release = threading.Event()
        box = ToolBox([FunctionTool.of(hanging(release)), FunctionTool.of(where)], timeout_s=0.05)
        try:
            assert "no result within" in (await box.run(call("hang"), CONTEXT)).result.content
            box_of_others = await box.run(call("where"), CONTEXT)
            assert "tool-2" in box_of_others.result.content
            began = time.monotonic()
            box.close()
            assert time.monotonic() - began < 5
        finally:
            release.set()

    earlier = set(threading.enumerate())  # of other tests in this process
    asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name.startswith("tool-") and thread not in earlier:
            thread.join(10)
            assert not thread.is_alive()


def test_when_all_threads_hang_the_model_is_told(monkeypatch):
    monkeypatch.setattr(tools, "MAX_THREADS", 2)

    async def main() -> None:
        release = threading.Event()
        box = ToolBox([FunctionTool.of(hanging(release))], timeout_s=0.05)
        try:
            outcomes = await asyncio.gather(*(box.run(call("hang", n), CONTEXT) for n in range(3)))
            assert "no result within" in outcomes[0].result.content
            assert "too many tools" in outcomes[2].result.content
        finally:
            release.set()
            box.close()

    asyncio.run(main())


def test_a_cancelled_tool_gives_its_thread_back_when_it_ends():
    async def main() -> None:
        release = threading.Event()
        box = ToolBox([FunctionTool.of(hanging(release))])
        async with asyncio.TaskGroup() as group:
            task = group.create_task(box.run(call("hang"), CONTEXT))
            await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()
        release.set()
        for _ in range(5):
            again = await box.run(call("hang"), CONTEXT)
            assert not again.result.is_error
        box.close()

    asyncio.run(main())
