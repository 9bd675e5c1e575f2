"""`GET /v1/events`: the feed as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import to_json

from gateway.call.events import CLASSES, FOR_REPLAY
from gateway.errors import CommandError
from gateway.http.connections import EVENTS_PATH
from gateway.http.errors import ErrorBody
from gateway.http.event_feed import EventFeed, NumberedEvent

MOST_READERS = 32
HEARTBEAT_S = 15.0
_RETRY_MS = 2000
_KINDS = sorted(set(CLASSES) - FOR_REPLAY)


def _check_kind(kind: str) -> str:
    if kind not in _KINDS:
        raise ValueError(f"must be one of {', '.join(_KINDS)}")
    return kind


class EventsQuery(BaseModel):
    """Which events to follow; empty lists = all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    call: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[], max_length=64, description="only events of this call; may be repeated"
    )
    kind: list[Annotated[str, AfterValidator(_check_kind)]] = Field(
        default=[], max_length=64, description="only events of this kind; may be repeated"
    )


LastEventId = Annotated[
    str, Header(max_length=64, description="go on after this event, as browsers do by themselves")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader wants, and may see."""

    call_ids: frozenset[str] = frozenset()
    """Empty = of all calls."""
    kinds: frozenset[str] = frozenset()
    """Empty = of all kinds."""
    shows_keys: bool = True
    """Whether the keys of a telephone are shown."""

    def takes(self, event: NumberedEvent) -> bool:
        """Return whether an event is wanted."""
        is_of_call = not self.call_ids or event.call_id in self.call_ids
        return is_of_call and (not self.kinds or event.kind in self.kinds)


def event_routes(feed: EventFeed) -> APIRouter:
    """Return the route of a feed."""
    routes = APIRouter(tags=["events"])
    readers = _Readers()

    @routes.get(EVENTS_PATH, response_class=StreamingResponse, responses=_answers())
    async def events(
        request: Request,
        asked: Annotated[EventsQuery, Query()],
        last_event_id: LastEventId = "",
    ) -> StreamingResponse:
        """Follow all calls as server-sent events (`text/event-stream`).

        The first event is `calls_in_progress`, or what followed `Last-Event-ID`.  When events in
        between are not kept any more, `events_lost` comes first, then `calls_in_progress`.  The
        keys of a telephone are asterisks for a key of `read_keys`.  A comment comes every 15 s.
        """
        readers.check()
        wanted = Wanted(frozenset(asked.call), frozenset(asked.kind), request.state.may_act)
        return StreamingResponse(
            readers.counted(stream(feed, wanted, last_event_id)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return routes


async def stream(
    feed: EventFeed, wanted: Wanted, last_event_id: str = "", heartbeat_s: float = HEARTBEAT_S
) -> AsyncIterator[bytes]:
    """Yield the text of a stream; ends when the feed is closed, or its reader is too slow."""
    position = feed.position(last_event_id) if last_event_id else None
    yield b"retry: %d\n\n" % _RETRY_MS
    if last_event_id and position is None:
        yield _special("events_lost", {"after": last_event_id})
    if position is None:
        position = feed.newest
        yield _calls(feed, wanted, position)
    while True:
        found = feed.after(position)
        if found is None:
            yield _special("events_lost", {"after": feed.id_of(position)})
            return
        if not found and feed.is_closed:
            return
        if not found:
            await feed.wait(position, heartbeat_s)
            if feed.newest == position and not feed.is_closed:
                yield b": heartbeat\n\n"
            continue
        position = found[-1].number
        text = b"".join(_framed(feed, found, wanted))
        # A client that filters keeps up all the same: an id without data is only remembered.
        yield text or b"id: %s\n\n" % feed.id_of(position).encode()


def _framed(feed: EventFeed, found: Sequence[NumberedEvent], wanted: Wanted) -> Iterator[bytes]:
    for event in found:
        if wanted.takes(event):
            text = event.text if wanted.shows_keys else event.without_keys
            number = feed.id_of(event.number).encode()
            yield b"id: %s\nevent: %s\ndata: %s\n\n" % (number, event.kind.encode(), text)


def _calls(feed: EventFeed, wanted: Wanted, position: int) -> bytes:
    calls = [
        call
        for call in feed.in_progress()
        if not wanted.call_ids or call["call_id"] in wanted.call_ids
    ]
    return b"id: %s\n" % feed.id_of(position).encode() + _special(
        "calls_in_progress", {"calls": calls}
    )


def _special(kind: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), to_json(data, fallback=str))


class _Readers:
    """Bounds how many read at a time."""

    def __init__(self) -> None:
        self._count = 0

    def check(self) -> None:
        if self._count >= MOST_READERS:
            raise CommandError(503, f"{MOST_READERS} clients read the events already")

    async def counted(self, text: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._count += 1
        try:
            async for piece in text:
                yield piece
        finally:
            self._count -= 1


def _answers() -> dict[int | str, dict[str, Any]]:
    about = f"Events, each with `id`, `event` (its kind: {', '.join(_KINDS)}) and JSON `data`"
    content = {"text/event-stream": {"schema": {"type": "string"}}}
    found: dict[int | str, dict[str, Any]] = {200: {"content": content, "description": about}}
    return found | {status: {"model": ErrorBody} for status in (401, 403, 422, 503)}
