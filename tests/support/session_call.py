"""Whole calls through `CallSession` on virtual time, over the loop's own transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.call.line import Line
from gateway.call.session import CallSession, Flow
from gateway.call.transport import Transport
from gateway.config.models import SipConfig
from gateway.records.bundle import CallBundle
from gateway.records.bundle_files import EVENTS_FILE, read_call, read_events
from gateway.records.model import CallRecord
from gateway.telemetry.metrics import Metrics
from tests.support.loop_transport import LoopLine, LoopTransport
from tests.support.virtual_time import run

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class SessionCall:
    """One call of a worker that has no SIP: a sink for its transport, and what came of it."""

    def __init__(
        self, directory: Path, flow: Flow, media_format: AudioFormat = NARROWBAND, **limits: Any
    ) -> None:
        self._directory = directory
        self._media_format = media_format
        self._flow = flow
        self._limits = SipConfig(**limits)
        self.line: LoopLine
        self.session: CallSession
        self.record: CallRecord
        """As `run` has returned it."""
        self.ended_s = 0.0
        """Virtual time at which the record was complete."""

    def play(
        self, script: Callable[[SessionCall], Awaitable[None]], direction: str = "in"
    ) -> SessionCall:
        """Make the call; the script is the other side and may be longer than it."""
        run(self._play(script, direction))
        return self

    async def _play(self, script: Callable[[SessionCall], Awaitable[None]], direction: str) -> None:
        self.transport = transport = LoopTransport(self, media_format=self._media_format)
        carrier: Transport = transport  # as a worker sees it
        async with asyncio.TaskGroup() as self._group:
            clock = self._group.create_task(carrier.run())
            self._done = asyncio.Event()
            if direction == "in":
                self.line = transport.connect()
            else:
                self.line = transport.place("300")
                self.on_incoming(self.line)
            scripted = self._group.create_task(_as_coroutine(script(self)))
            await self._done.wait()
            self.ended_s = asyncio.get_running_loop().time()
            assert carrier.active_calls() == 0
            for task in (clock, scripted):
                task.cancel()

    # --- CallSink ---

    def new_call_id(self) -> str:
        return "20260102-030405-0123abcd"

    def on_incoming(self, line: Line) -> None:
        facts = line.facts
        record = CallRecord(
            call_id=facts.call_id, direction=facts.direction, caller=facts.caller,
            called=facts.called, started_at=STARTED,
        )  # fmt: skip
        bundle = CallBundle(self._directory, record)
        self.folder = bundle.folder
        self.session = CallSession(line, bundle, record, Metrics(), self._limits)
        self._group.create_task(self._serve(line))

    async def _serve(self, line: Line) -> None:
        closed = partial(self.transport.release, line)
        try:
            self.record = await self.session.run(self._flow, "default/main", closed)
        finally:
            closed()
            self._done.set()

    # --- what a script can do ---

    async def until(self, seconds: float) -> None:
        """Wait until so much of the call has passed."""
        await asyncio.sleep(max(0.0, seconds - asyncio.get_running_loop().time()))

    async def says(self, at_s: float, for_s: float) -> None:
        """The caller speaks."""
        await self.until(at_s)
        self.line.speak(for_s)

    # --- what came of it ---

    @property
    def written(self) -> CallRecord:
        """The record on the disk."""
        return read_call(self.folder)

    @property
    def events(self) -> list[dict[str, Any]]:
        """`events.jsonl`."""
        return list(read_events(self.folder / EVENTS_FILE))

    def kinds(self) -> list[str]:
        """Kinds of its events, in order."""
        return [event["kind"] for event in self.events]


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable
