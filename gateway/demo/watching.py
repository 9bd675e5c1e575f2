"""Follows a call while it lasts: the caller's own events and the lines of the gateway's bundle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from gateway.demo.processes import DemoError
from gateway.demo.screen import Screen
from gateway.demo.transcript import Entry, Transcript
from gateway.records.bundle_files import CALL_FILE, EVENTS_FILE, read_call
from gateway.records.model import CallRecord

_POLL_S = 0.05
_RECORD_TIMEOUT_S = 15.0


@dataclass(slots=True)
class CallerLog:
    """What the caller's process has told so far."""

    answered_ns: int | None = None
    said: list[tuple[str, float]] = field(default_factory=list)
    """Sentence, seconds from the answer to its start."""
    report: dict[str, Any] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> Iterator[Entry]:
        """Keep an event; yield what there is to show of it."""
        at_s = self._seconds(int(event["at_ns"]))
        match event["event"]:
            case "answered":
                self.answered_ns = int(event["at_ns"])
            case "said":
                self.said.append((str(event["text"]), at_s))
                yield Entry(at_s, "says", str(event["text"]))
            case "refused":
                yield Entry(at_s, "call", f"refused: {event['status']} {event['reason']}")
            case "problem":
                yield Entry(at_s, "call", f"the caller {event['text']}")
            case "report":
                self.report = event

    def _seconds(self, at_ns: int) -> float:
        return 0.0 if self.answered_ns is None else (at_ns - self.answered_ns) / 1e9


async def follow_caller(stdout: asyncio.StreamReader, log: CallerLog, screen: Screen) -> None:
    """Show what the caller says until its process ends."""
    while line := await stdout.readline():
        for entry in log.take(json.loads(line)):
            screen.show(entry)


async def follow_bundle(records: Path, caller: str, screen: Screen) -> tuple[Path, CallRecord]:
    """Show what the gateway notes about the call from `caller` until its record is finished.

    Runs until then; give it a time limit once the caller has gone.
    """
    folder = await _folder_of(records, caller)
    transcript, position = Transcript(), 0
    while True:
        is_last = read_call(folder).state == "finished"
        events, position = _new_events(folder / EVENTS_FILE, position)
        for event in events:
            if entry := transcript.entry_of(event):
                screen.show(entry)
        if is_last:
            return folder, read_call(folder)
        await asyncio.sleep(_POLL_S)


async def finish(following: asyncio.Task[tuple[Path, CallRecord]]) -> tuple[Path, CallRecord]:
    """Wait for the record of a call whose caller has gone.  Raises DemoError when none comes."""
    try:
        async with asyncio.timeout(_RECORD_TIMEOUT_S):
            return await following
    except TimeoutError:
        raise DemoError("the gateway left no finished record of the call") from None


async def _folder_of(records: Path, caller: str) -> Path:
    """Wait for the bundle of the call from this caller."""
    known: set[Path] = set()
    while True:
        for folder in _folders(records) - known:
            known.add(folder)
            if caller in read_call(folder).caller:
                return folder
        await asyncio.sleep(_POLL_S)


def _folders(records: Path) -> set[Path]:
    return {path.parent for path in records.glob(f"*/*/{CALL_FILE}")}


def _new_events(path: Path, position: int) -> tuple[list[dict[str, Any]], int]:
    """Read the whole lines that came since `position`; return the position behind them."""
    if not path.exists():
        return [], position
    with path.open("rb") as file:
        file.seek(position)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return [from_json(line) for line in whole.splitlines()], position + len(whole)
