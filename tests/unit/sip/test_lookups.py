"""Addresses that a name had lately, and threads that look names up."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip import lookups
from gateway.sip.lookups import Lookups, Recent
from gateway.threads import BlockingPool


def test_an_answer_leads_and_others_of_the_last_hour_follow():
    recent = Recent[str]()
    assert recent.found(["a", "b"], 0.0) == ("a", "b")
    assert recent.found(["b"], 1800.0) == ("b", "a")
    assert recent.found(["c"], 3600.0) == ("c", "b")
    assert recent.found(["c"], 9000.0) == ("c",)


@given(st.lists(st.lists(st.integers(0, 200), min_size=1, max_size=20)))
def test_an_answer_is_whole_and_memory_is_bounded(answers):
    recent = Recent[int]()
    for number, answer in enumerate(answers):
        found = recent.found(answer, number * 300.0)
        assert found[: len(set(answer))] == tuple(dict.fromkeys(answer))
        assert len(set(found)) == len(found) <= 64


def test_names_that_hang_hold_up_neither_the_others_nor_the_end(monkeypatch):
    asked, answered, loops, news = [], threading.Event(), [], asyncio.Semaphore(0)

    def look_up(host):
        asked.append(host)
        loops[0].call_soon_threadsafe(news.release)
        if host.startswith("slow"):
            answered.wait()
        if host == "none":
            raise OSError("unknown")
        return ["10.0.0.1", "10.0.0.2", "10.0.0.1"]

    async def main():
        loops.append(asyncio.get_running_loop())
        names, servers = Lookups("names"), Lookups("servers")
        slow = [asyncio.ensure_future(names.addresses(f"slow{n}")) for n in range(5)]
        assert await servers.addresses("b") == ["10.0.0.1", "10.0.0.2"]
        with pytest.raises(OSError, match="unknown"):
            await servers.addresses("none")
        while len(asked) < 5:
            await asyncio.wait_for(news.acquire(), 10)
        for task in slow[1:]:
            task.cancel()
        await asyncio.wait(slow[1:])
        answered.set()
        assert await slow[0] == ["10.0.0.1", "10.0.0.2"]
        assert await names.addresses("last")

    monkeypatch.setattr(lookups, "_look_up", look_up)
    asyncio.run(main())
    assert len([host for host in asked if host.startswith("slow")]) == 3  # others were given up


def test_threads_of_a_pool_end_with_the_process():
    async def main():
        return await BlockingPool("short", 2).call(threading.current_thread)

    assert asyncio.run(main()).daemon
