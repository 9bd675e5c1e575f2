"""Whole calls on virtual time that leave a real bundle behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.config.models import AgentConfig
from gateway.conversation.agent import Agent
from gateway.conversation.conversation import Conversation
from gateway.conversation.ear import Ear
from gateway.conversation.line import Digit, Held, Resumed
from gateway.conversation.live_call import LiveCall
from gateway.conversation.tools import ToolBox
from gateway.conversation.voice import Voice
from gateway.records.bundle import CallBundle
from gateway.records.model import CallRecord, TurnRecord
from gateway.telemetry.metrics import Metrics
from tests.support.fake_line import (
    FakeLine,
    LevelDetector,
    ScriptedBrain,
    ScriptedRecognizer,
    ScriptedVoice,
)
from tests.support.virtual_time import run

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CALL_ID = "20260102-030405-0123abcd"


class Stage:
    """What the script of a call can do."""

    def __init__(self, line: FakeLine, call: LiveCall) -> None:
        self._line = line
        self._call = call

    async def until(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds - asyncio.get_running_loop().time()))

    async def says(self, at_s: float, for_s: float) -> None:
        await self.until(at_s)
        self._line.speak(for_s)

    async def press(self, at_s: float, digit: str) -> None:
        await self.until(at_s)
        self._call.inbox.put_nowait(Digit(digit, "rfc4733"))

    async def hold(self, at_s: float, for_s: float) -> None:
        await self.until(at_s)
        self._call.inbox.put_nowait(Held())
        await asyncio.sleep(for_s)
        self._call.inbox.put_nowait(Resumed())


def record_call(
    directory: Path,
    script: Callable[[Stage], Awaitable[None]],
    *,
    replies: Sequence[Any] = (),
    heard: Sequence[str | Exception | None] = (),
    lag_s: float = 0.06,
    **config: Any,
) -> Path:
    """Make a call and give the folder of its bundle."""
    record = CallRecord(
        call_id=CALL_ID, direction="in", caller="200", called="100", started_at=STARTED
    )
    bundle = CallBundle(directory, record)
    settings = AgentConfig(**({"greeting": "Hello there."} | config))
    recognizer = ScriptedRecognizer(*heard, delay_s=lag_s)
    voice = Voice(ScriptedVoice())
    agent = Agent("bot", settings, recognizer, ScriptedBrain(*replies), voice, ToolBox([], ()))
    turns = run(_call(bundle, agent, script))
    record = record.model_copy(update={"turns": tuple(turns)})
    bundle.finish(record.ended(STARTED, "caller_hung_up"))
    return bundle.folder


async def _call(
    bundle: CallBundle, agent: Agent, script: Callable[[Stage], Awaitable[None]]
) -> list[TurnRecord]:
    line = FakeLine()
    ear = Ear(line.inlet, LevelDetector(), bundle.write_audio, lambda _: None)
    async with asyncio.TaskGroup() as group:
        call = LiveCall(line, ear, bundle, Metrics(), group)
        tasks = [group.create_task(line.run()), group.create_task(ear.run())]
        talking = group.create_task(Conversation(call, agent).run())
        scripted = group.create_task(_as_coroutine(script(Stage(line, call))))
        await asyncio.wait([talking, scripted], return_when=asyncio.FIRST_COMPLETED)
        for task in (talking, scripted):
            task.cancel()
        await asyncio.wait([talking])
        ear.settle()
        for task in tasks:
            task.cancel()
    return call.turns


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable
