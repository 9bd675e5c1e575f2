"""EventFeed: the latest events of all calls, numbered, for readers that come and go.

Each reader has a position, not a buffer: what is not read is overwritten.  Loop thread only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from gateway.records.model import cleaned

KEPT_EVENTS = 10_000
KEPT_BYTES = 16 * 1024 * 1024
_BATCH = 256
_KEYS = ("digit", "digits")


@dataclass(frozen=True, slots=True)
class CallNotice:
    """An event of a call, as it is published."""

    call_id: str
    """Empty = of no call."""
    at: datetime
    audio_s: float
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """An event with its place in the feed."""

    number: int
    call_id: str
    kind: str
    text: bytes
    """JSON on one line."""
    without_keys: bytes
    """The same; the keys of a telephone are asterisks."""


class EventFeed:
    """A ring of events."""

    def __init__(
        self, name: str = "0", kept_events: int = KEPT_EVENTS, kept_bytes: int = KEPT_BYTES
    ) -> None:
        """Prepare an empty feed.

        Args:
            name: tells this feed from that of another start; the first part of each id.
            kept_events: how many events are kept.
            kept_bytes: how much their text may take.
        """
        self._name = name
        self._kept_events, self._kept_bytes = kept_events, kept_bytes
        self._ring: deque[NumberedEvent] = deque()
        self._bytes = 0
        self._has_news = asyncio.Event()
        self._in_progress: Callable[[], Sequence[Mapping[str, Any]]] = list
        self.newest = 0
        """Number of the latest event; 0 = there was none."""
        self.is_closed = False

    def describe_calls_by(self, in_progress: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Set what describes the calls in progress, each with its `call_id`."""
        self._in_progress = in_progress

    def in_progress(self) -> Sequence[Mapping[str, Any]]:
        """Return the calls in progress as of the newest event."""
        return self._in_progress()

    def publish(self, notice: CallNotice) -> None:
        """Append an event."""
        self.newest += 1
        head: dict[str, Any] = {"at": notice.at, "kind": notice.kind}
        if notice.call_id:
            audio_s = round(notice.audio_s, 3)
            head = {"call_id": notice.call_id, "at": notice.at, "audio_s": audio_s} | head
        text = _json({**head, **notice.data})
        hidden = _without_keys(notice.data)
        event = NumberedEvent(
            self.newest, notice.call_id, notice.kind, text,
            text if hidden is None else _json({**head, **hidden}),
        )  # fmt: skip
        self._ring.append(event)
        self._bytes += len(text)
        while len(self._ring) > self._kept_events or self._bytes > self._kept_bytes:
            self._bytes -= len(self._ring.popleft().text)
        self._wake()

    def id_of(self, number: int) -> str:
        """Return the id that a reader sends to go on after an event."""
        return f"{self._name}-{number}"

    def position(self, event_id: str) -> int | None:
        """Return the number after which a reader goes on; None when events in between are lost."""
        name, _, number = event_id.rpartition("-")
        if name != self._name or not number.isdecimal() or len(number) > 18:
            return None
        position = int(number)
        return position if self._oldest - 1 <= position <= self.newest else None

    def after(self, position: int) -> list[NumberedEvent] | None:
        """Return the next events; None when some of them are not there any more."""
        if position < self._oldest - 1:
            return None
        start = position + 1 - self._oldest
        return list(islice(self._ring, start, start + _BATCH))

    async def wait(self, position: int, timeout_s: float) -> None:
        """Wait until there is something after a position, the feed is closed or time is up."""
        if self.newest > position or self.is_closed:
            return
        news = self._has_news
        try:
            async with asyncio.timeout(timeout_s):
                await news.wait()
        except TimeoutError:
            pass

    def close(self) -> None:
        """Let every reader end."""
        self.is_closed = True
        self._wake()

    @property
    def _oldest(self) -> int:
        return self.newest - len(self._ring) + 1

    def _wake(self) -> None:
        self._has_news.set()
        self._has_news = asyncio.Event()


def _without_keys(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the data with asterisks for keys; None when there are none in it."""
    found = {key: "*" * len(str(data[key])) for key in _KEYS if key in data}
    return {**data, **found} if found else None


def _json(value: Mapping[str, Any]) -> bytes:
    try:
        return to_json(value, fallback=str)
    except PydanticSerializationError:  # lone surrogates of a SIP header
        return to_json(cleaned(value), fallback=str)
