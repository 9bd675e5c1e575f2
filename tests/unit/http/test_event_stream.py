"""The feed of events and its text: ids, gaps, filters, what a role may see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.models import HttpConfig
from gateway.http.api import create_app
from gateway.http.event_feed import CallNotice, EventFeed
from gateway.http.event_stream import Wanted, stream
from gateway.http.port import GatewayPort

AT = datetime(2026, 11, 29, tzinfo=UTC)


def notice(call_id: str = "a", kind: str = "held", **data: Any) -> CallNotice:
    return CallNotice(call_id, AT, 1.0, kind, data)


def feed_of(*notices: CallNotice, **bounds: int) -> EventFeed:
    feed = EventFeed("f", **bounds)
    for each in notices:
        feed.publish(each)
    return feed


async def read(feed: EventFeed, last_event_id: str = "", **wanted: Any) -> list[dict[str, Any]]:
    """Read all that is there: each event as its fields."""
    feed.close()
    return events_of(b"".join([p async for p in stream(feed, Wanted(**wanted), last_event_id)]))


def events_of(text: bytes) -> list[dict[str, Any]]:
    found = []
    for block in text.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(5):
            await body()

    asyncio.run(limited())


def test_a_reader_goes_on_after_its_last_event() -> None:
    async def body() -> None:
        feed = feed_of(notice("a"), notice("b"), notice("c", text="Hello.\nYou?"))
        found = await read(feed, "f-1")
        assert [(e["id"], e["event"], e["data"]["call_id"]) for e in found] == [
            ("f-2", "held", "b"),
            ("f-3", "held", "c"),
        ]
        assert found[1]["data"]["text"] == "Hello.\nYou?"
        assert found[1]["data"]["audio_s"] == 1.0

    run(body)


def test_an_event_of_no_call_has_no_id_of_one() -> None:
    async def body() -> None:
        feed = feed_of(notice("a"), notice("", "trunk_state", name="carrier", state="failed"))
        _, found = await read(feed, "f-0")
        assert found["event"] == "trunk_state"
        assert set(found["data"]) == {"at", "kind", "name", "state"}
        (of_call,) = await read(feed, "f-0", call_ids=frozenset("a"))
        assert of_call["event"] == "held"

    run(body)


def test_a_new_reader_is_told_what_is_in_progress() -> None:
    async def body() -> None:
        feed = feed_of(notice("a"))
        feed.describe_calls_by(lambda: [{"call_id": "a", "state": "held"}, {"call_id": "b"}])
        (found,) = await read(feed, call_ids=frozenset("a"))
        assert (found["id"], found["event"]) == ("f-1", "calls_in_progress")
        assert found["data"] == {"calls": [{"call_id": "a", "state": "held"}]}

    run(body)


@pytest.mark.parametrize("last", ["other-2", "f-1", "f-9", "f-x", "f-", "9" * 40])
def test_lost_events_are_reported(last: str) -> None:
    async def body() -> None:
        feed = feed_of(*(notice(str(n)) for n in range(5)), kept_events=2)
        found = await read(feed, last)
        assert [e["event"] for e in found] == ["events_lost", "calls_in_progress"]
        assert found[0]["data"] == {"after": last}
        assert found[1]["id"] == "f-5"

    run(body)


def test_filters_and_keys_by_role() -> None:
    async def body() -> None:
        notices = (
            notice("a", "digit", digit="7", method="rfc4733"),
            notice("a", "digits_sent", digits="1234"),
            notice("b", "digit", digit="8"),
            notice("a", "held"),
        )
        by_call = await read(feed_of(*notices), "f-0", call_ids=frozenset("a"))
        assert [e["id"] for e in by_call] == ["f-1", "f-2", "f-4"]
        by_kind = await read(feed_of(*notices), "f-0", kinds=frozenset({"digit"}))
        assert [e["data"]["digit"] for e in by_kind] == ["7", "8"]
        hidden = await read(feed_of(*notices), "f-0", shows_keys=False)
        assert [e["data"].get("digit", e["data"].get("digits")) for e in hidden] == [
            "*", "****", "*", None,
        ]  # fmt: skip

    run(body)


def test_a_filtering_reader_keeps_its_place() -> None:
    async def body() -> None:
        feed = feed_of(notice("a"), notice("a"))
        feed.close()
        wanted = Wanted(call_ids=frozenset("b"))
        text = b"".join([piece async for piece in stream(feed, wanted, "f-0")])
        assert b"id: f-2\n\n" in text
        assert not events_of(text)

    run(body)


def test_a_reader_that_is_too_slow_is_dropped() -> None:
    async def body() -> None:
        feed = feed_of(notice(), kept_events=2)
        reading = stream(feed, Wanted(), "f-0")
        assert b"retry" in await anext(reading)
        assert b"f-1" in await anext(reading)
        for _ in range(3):
            feed.publish(notice())
        (lost,) = events_of(b"".join([piece async for piece in reading]))
        assert (lost["event"], lost["data"]) == ("events_lost", {"after": "f-1"})

    run(body)


def test_a_silent_feed_beats_and_a_new_event_wakes() -> None:
    async def body() -> None:
        feed = feed_of()
        reading = stream(feed, Wanted(), heartbeat_s=0)
        assert [await anext(reading) for _ in range(3)][2] == b": heartbeat\n\n"
        async with asyncio.TaskGroup() as group:
            waits = group.create_task(feed.wait(0, 60))
            await asyncio.sleep(0)
            feed.publish(notice())
            await waits

    run(body)


@given(st.lists(st.integers(0, 40)), st.integers(1, 8), st.integers(200, 600), st.integers(0, 30))
def test_nothing_is_missing_between_what_is_kept(
    sizes: list[int], kept: int, kept_bytes: int, position: int
) -> None:
    feed = feed_of(*(notice(text="x" * n) for n in sizes), kept_events=kept, kept_bytes=kept_bytes)
    assert feed.newest == len(sizes)
    found = feed.after(position)
    if found is not None and position <= feed.newest:
        assert [e.number for e in found] == list(range(position + 1, feed.newest + 1))
        assert sum(len(e.text) for e in found) <= kept_bytes
    assert (feed.position(f"f-{position}") is None) == (found is None or position > feed.newest)


KEYS = HttpConfig(api_keys=("acting",), read_keys=("reading",), metrics_keys=("measuring",))  # type: ignore[arg-type]


def asked(feed: EventFeed, key: str, query: str = "", last: str = "f-0") -> httpx.Response:
    """Ask the API for events; the feed is closed, so the answer ends."""

    async def ask() -> httpx.Response:
        app = create_app(cast("GatewayPort", None), KEYS, feed)
        headers = {"X-API-Key": key, "Last-Event-ID": last}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(f"/v1/events{query}", headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("key", "status", "digit"),
    [("acting", 200, "7"), ("reading", 200, "*"), ("measuring", 403, "")],
)
def test_roles(key: str, status: int, digit: str) -> None:
    feed = feed_of(notice("a", "digit", digit="7"))
    feed.close()
    answer = asked(feed, key)
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert events_of(answer.content)[0]["data"]["digit"] == digit


def test_what_is_asked_is_checked() -> None:
    feed = feed_of(notice("a"), notice("b"), notice("a", "answered"))
    feed.close()
    found = events_of(asked(feed, "reading", "?call=a&kind=held&kind=answered").content)
    assert [e["id"] for e in found] == ["f-1", "f-3"]
    refused = asked(feed, "reading", "?kind=turn_input")
    assert refused.status_code == 422
    assert "turn_finished" in refused.text
