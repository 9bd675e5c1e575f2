"""Whole calls on virtual time that leave a real bundle behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.call.call_audio import CallAudio
from gateway.call.line import Digit, Held, Resumed
from gateway.call.live_call import LiveCall
from gateway.config.models import AgentConfig
from gateway.conversation.agent import Agent
from gateway.conversation.conversation import Conversation
from gateway.conversation.tools import ToolBox
from gateway.conversation.voice import Voice
from gateway.records.bundle import CallBundle
from gateway.records.model import CallRecord, TurnRecord
from gateway.replay.hearing import Chunks, chunks_of, detectors_of, listen
from gateway.replay.recording import Recording
from gateway.telemetry.metrics import Metrics
from tests.support.fake_line import (
    FakeLine,
    LevelDetector,
    ScriptedModel,
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
    llm, box = ScriptedModel(*replies), ToolBox([], ())
    agent = Agent("bot", settings, recognizer, llm, voice, box, LevelDetector)
    turns = run(_call(bundle, agent, script))
    record = record.model_copy(update={"turns": tuple(turns)})
    bundle.finish(record.ended(STARTED, "caller_hung_up"))
    return bundle.folder


def heard_again(recording: Recording) -> list[Chunks]:
    """Hear a recorded call as it was heard."""
    detectors = [(since, LevelDetector()) for since, _ in detectors_of(recording.events)]
    return chunks_of(listen(recording.audio, detectors, None))


async def _call(
    bundle: CallBundle, agent: Agent, script: Callable[[Stage], Awaitable[None]]
) -> list[TurnRecord]:
    line = FakeLine()
    audio = CallAudio(line.inlet, bundle.write_audio, lambda _: None)
    async with asyncio.TaskGroup() as group:
        call = LiveCall(line, audio, bundle, Metrics(), group, group)
        talking = group.create_task(Conversation(call, agent).run())
        tasks = [group.create_task(line.run()), group.create_task(audio.run())]
        scripted = group.create_task(_as_coroutine(script(Stage(line, call))))
        await asyncio.wait([talking, scripted], return_when=asyncio.FIRST_COMPLETED)
        for task in (talking, scripted):
            task.cancel()
        await asyncio.wait([talking])
        audio.settle()
        for task in tasks:
            task.cancel()
    return call.turns


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable
