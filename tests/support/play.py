"""One reply on a line of its own, without a conversation around it."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.call.call_audio import CallAudio
from gateway.call.live_call import LiveCall
from gateway.conversation.figures import TurnFigures
from gateway.conversation.reply import Reply
from gateway.conversation.voice import Voice
from gateway.providers.contracts import Spoken
from gateway.telemetry.metrics import Metrics
from tests.support.fake_line import FakeLine, LevelDetector, NoteBook, ScriptedVoice
from tests.support.virtual_time import run


class Filler:
    """Said while the source does not go on."""

    text = "One moment."
    frames = 15 * [b"\x88\x13" * 160]
    """300 ms of sound."""


class Play:
    """One reply on a line of its own, cut at some time or heard to its end."""

    def __init__(
        self, *said: str | Spoken | float | Filler, cut_s: float | None = None, voice: Any = None
    ) -> None:
        self._said = said
        self._cut_s = cut_s
        self._voice = voice or ScriptedVoice()
        self.notes = NoteBook()
        run(self._run())

    async def _run(self) -> None:
        self.line = line = FakeLine()
        audio = CallAudio(line.inlet, self.notes.write_audio, lambda _: None)
        async with asyncio.TaskGroup() as tools, asyncio.TaskGroup() as group:
            call = LiveCall(line, audio, self.notes, Metrics(), group, tools)
            audio.open(LevelDetector)
            self.figures = TurnFigures.at(call)
            voice = Voice(self._voice)
            self.reply = reply = Reply(call, voice, self._source, self.figures, lambda: None)
            audio.sink = lambda _pcm, _chunks, now: self._frame(now)
            clock = [group.create_task(line.run()), group.create_task(audio.run())]
            reply.release()
            running = group.create_task(reply.run())
            await asyncio.wait([running], timeout=self._cut_s)
            if not running.done():
                reply.cut()
                line.outlet.clear()
                running.cancel()
                await asyncio.wait([running])
            self.heard = reply.heard_text()
            await asyncio.sleep(0.2)
            for task in clock:
                task.cancel()

    def _frame(self, now: int) -> None:
        self.reply.on_frame(now, may_bridge=False)

    async def _source(self, _reply: Reply):
        for each in self._said:
            if isinstance(each, float):
                await asyncio.sleep(each)
            elif isinstance(each, Filler):
                self.reply._playout.say_filler(each.text, each.frames)
            else:
                yield each

    @property
    def announced(self) -> list[str]:
        return [data["text"] for kind, _, data in self.notes.events if kind == "bot_says"]
