"""A speech-to-speech engine that follows a script, on virtual time and without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError
from gateway.providers.contracts import Message, ToolCall, ToolResult, UserMessage
from gateway.providers.kit.spurts import Spurts
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    EngineUsage,
    Opening,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SpeechEvent,
    ToolAsked,
    TurnOwner,
)

LETTER_MS = 50
"""As the scripted voice speaks."""
_SILENCE_MS = 400
_CHUNK_MS = 80

Answer = Sequence[Any]
"""Texts, tool calls, pauses (seconds), errors and events, one after the other."""


def sound(form: AudioFormat, ms: float, level: int = 5000) -> bytes:
    """A tone that is never silent for a frame."""
    at = np.arange(int(form.sample_rate_hz * ms / 1000)) / form.sample_rate_hz
    return (np.sin(2 * np.pi * 500 * at) * level).astype("<i2").tobytes()


class ScriptedEngine:
    """Each answer is said to one turn of the caller, or to what it was told with `answer`."""

    takes_tools = True

    def __init__(
        self,
        *answers: Answer,
        turns: TurnOwner = "engine",
        heard: Sequence[str] = (),
        is_aligned: bool = True,
    ) -> None:
        """Prepare.

        Args:
            answers: one for each turn.
            turns: as in the contract.
            heard: what the caller says in each turn; reported behind the answer's beginning.
            is_aligned: words come with their sound, otherwise before it.
        """
        self.answers = list(answers)
        self.turns: TurnOwner = turns
        self.heard = list(heard)
        self.is_aligned = is_aligned
        self.input_format = AudioFormat(8000)  # the callers of tests are beyond other bands
        self.output_format = AudioFormat(24_000)
        self.delay_s = 0.1
        self.connect_s = 0.05
        self.speech_level = 4000
        """Peak of the caller's audio from which on it is speech."""
        self.log: Callable[[str], None] = lambda _: None
        """Called with what the gateway does to a session."""
        self.refusals: list[ProviderError] = []
        """With which the next sessions are refused."""
        self.silent_sessions = 0
        """This number of sessions, from the first on, are accepted and then give no sign."""
        self.sessions: list[ScriptedSession] = []
        self.open = 0

    @property
    def session(self) -> ScriptedSession:
        """The latest."""
        return self.sessions[-1]

    async def warm_up(self) -> None: ...

    async def close(self) -> None: ...

    @asynccontextmanager
    async def connect(self, opening: Opening) -> AsyncIterator[ScriptedSession]:
        await asyncio.sleep(self.connect_s)
        if self.refusals:
            raise self.refusals.pop(0)
        self.open += 1
        async with asyncio.TaskGroup() as group:
            self.log("connected")
            session = ScriptedSession(self, opening, group)
            self.sessions.append(session)
            try:
                yield session
            finally:
                self.open -= 1
                session.stop()


class ScriptedSession:
    """One session: hears by level, answers by script."""

    def __init__(self, engine: ScriptedEngine, opening: Opening, group: asyncio.TaskGroup) -> None:
        self.engine, self.opening = engine, opening
        self.input_format, self.output_format = engine.input_format, engine.output_format
        self.turns: TurnOwner = engine.turns
        self.pushed_ms = 0.0
        self.commits = 0
        self.begun: list[tuple[int, int]] = []
        """Positions in the pushed audio at which turns begin, and at which that was told."""
        self.pauses = 0
        self.instructed: list[str] = []
        self.eagerness = ""
        self.cuts: list[tuple[str, int]] = []
        self.told: list[tuple[tuple[Message, ...], bool]] = []
        self._group = group
        self._events: asyncio.Queue[SpeechEvent | ProviderError | None] = asyncio.Queue()
        self.is_silent = len(engine.sessions) < engine.silent_sessions
        self._results: asyncio.Queue[ToolResult] = asyncio.Queue()
        self._is_asking = False
        self._replying: asyncio.Task[None] | None = None
        self._reply_id = ""
        self._replies = 0
        self._is_speaking = False
        self._silent_ms = 0.0
        self._stream: asyncio.Task[None] | None = None
        self._to_stream: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()
        self._spurts = Spurts(engine.output_format)
        if self.is_silent:
            return
        if opening.greeting:
            self._reply([opening.greeting])
        if self.turns == "none":
            self._stream = group.create_task(self._flow())

    # --- the gateway's side ---

    def push(self, audio: bytes) -> None:
        self.pushed_ms += self.input_format.seconds(audio) * 1000
        level = int(np.abs(np.frombuffer(audio, "<i2")).max(initial=0))
        if level > self.engine.speech_level:
            self._silent_ms = 0.0
            if not self._is_speaking:
                self._is_speaking = True
                self._caller_starts()
        elif self._is_speaking:
            self._silent_ms += self.input_format.seconds(audio) * 1000
            if self._silent_ms >= _SILENCE_MS:
                self._is_speaking = False
                self._caller_ends()

    def pause(self) -> None:
        self.pauses += 1

    def begin_turn(self, ago_ms: int) -> None:
        self.begun.append((round(self.pushed_ms) - ago_ms, round(self.pushed_ms)))

    def commit(self) -> None:
        assert self.turns == "gateway"
        self.commits += 1
        self._answer(is_to_words=True)

    def cut(self, reply_id: str, heard_ms: int) -> None:
        self.cuts.append((reply_id, heard_ms))
        self.engine.log(f"cut {reply_id} {heard_ms}")
        if reply_id == self._reply_id:
            self._stop_reply("interrupted")
        self._spurts.cut(reply_id)

    def tell(self, messages: Sequence[Message], *, answer: bool) -> None:
        self.told.append((tuple(messages), answer))
        self.engine.log(f"told {answer} {messages}")
        results = [message for message in messages if isinstance(message, ToolResult)]
        if self._is_asking and results:
            self._results.put_nowait(results[0])
        elif answer:
            self._answer(is_to_words=False)

    def instruct(self, instructions: str) -> None:
        self.instructed.append(instructions)
        self.engine.log(f"instructed {instructions}")

    def set_eagerness(self, eagerness: str) -> None:
        self.eagerness = eagerness

    async def __aiter__(self) -> AsyncIterator[SpeechEvent]:
        while True:
            event = await self._events.get()
            if event is None:
                return
            if isinstance(event, ProviderError):
                raise event
            yield event

    # --- the engine's ---

    def report(self, event: SpeechEvent | ProviderError) -> None:
        """Say this now; an error ends the session."""
        self._events.put_nowait(event)

    def hang_up(self) -> None:
        """End the conversation on purpose."""
        self._events.put_nowait(None)

    def spends(self, read: int, written: int) -> None:
        self.report(EngineUsage(read, written))

    def stop(self) -> None:
        for task in (self._replying, self._stream):
            if task is not None:
                task.cancel()

    def _caller_starts(self) -> None:
        if self.turns == "engine" and not self.is_silent:
            self.report(CallerStarted(self.pushed_ms))
            self._stop_reply("interrupted")

    def _caller_ends(self) -> None:
        if self.turns == "engine" and not self.is_silent:
            self.report(CallerEnded(self.pushed_ms))
        if self.turns != "gateway":
            self._answer(is_to_words=True)

    def _answer(self, *, is_to_words: bool) -> None:
        if self.engine.answers and not self.is_silent:
            words = self.engine.heard.pop(0) if is_to_words and self.engine.heard else ""
            self._stop_reply("interrupted")
            self._reply(self.engine.answers.pop(0), words)

    def _reply(self, answer: Answer, words: str = "") -> None:
        self._replying = self._group.create_task(self._perform(answer, words))

    def _stop_reply(self, end: Any) -> None:
        if self._replying is not None and not self._replying.done():
            self._replying.cancel()
            if self._reply_id:
                self.report(ReplyEnded(self._reply_id, end))
        self._replying, self._reply_id = None, ""

    async def _perform(self, answer: Answer, words: str) -> None:
        await asyncio.sleep(self.engine.delay_s)
        begun = ""
        for item in answer:
            if isinstance(item, float):
                await asyncio.sleep(item)
            elif isinstance(item, ProviderError):
                self.report(item)
            elif isinstance(item, str) and self.turns == "none":
                self._say_in_stream(item)
            else:
                begun = begun or self._begin()
                if isinstance(item, str):
                    await self._say(begun, item)
                elif isinstance(item, ToolCall):
                    await self._ask(begun, item)
                    begun = ""
                else:
                    self.report(item)
            if words and begun:
                self.report(CallerText(words, f"turn {begun}", is_final=True))
                words = ""
        if begun:
            self._reply_id = ""
            self.report(ReplyEnded(begun))

    def _begin(self) -> str:
        self._replies += 1
        self._reply_id = f"{len(self.engine.sessions)}-{self._replies}"
        self.report(ReplyStarted(self._reply_id))
        return self._reply_id

    async def _say(self, reply_id: str, text: str) -> None:
        words = [f" {word}" for word in text.split()]
        if not self.engine.is_aligned:
            self.report(ReplyText(reply_id, f" {text}"))
        for word in words:
            aligned = word if self.engine.is_aligned else ""
            length_ms = len(word) * LETTER_MS
            self.report(ReplyAudio(reply_id, sound(self.output_format, length_ms), aligned))
            await asyncio.sleep(0.001)

    async def _ask(self, reply_id: str, call: ToolCall) -> None:
        self.report(ToolAsked(call, reply_id))
        self._reply_id = ""
        self.report(ReplyEnded(reply_id))
        self._is_asking = True
        try:
            await self._results.get()
        finally:
            self._is_asking = False
        await asyncio.sleep(self.engine.delay_s)

    def _say_in_stream(self, text: str) -> None:
        for word in text.split():
            sounding = sound(self.output_format, len(word) * LETTER_MS + LETTER_MS)
            size = len(sound(self.output_format, _CHUNK_MS))
            for at in range(0, len(sounding), size):
                piece = sounding[at : at + size]
                self._to_stream.put_nowait((piece.ljust(size, b"\0"), "" if at else f" {word}"))

    async def _flow(self) -> None:
        """Make 80 ms every 80 ms, speech or not; report the replies in it."""
        while True:
            silence = sound(self.output_format, _CHUNK_MS, 0)
            audio, text = (silence, "") if self._to_stream.empty() else self._to_stream.get_nowait()
            for event in self._spurts.push(audio):
                if isinstance(event, ReplyAudio):
                    self.report(replace(event, text=text))
                    text = ""
                else:
                    self.report(event)
            await asyncio.sleep(_CHUNK_MS / 1000)


def words_told(session: ScriptedSession) -> list[str]:
    """Texts that the session was told, in order."""
    return [
        message.text
        for messages, _ in session.told
        for message in messages
        if not isinstance(message, ToolResult)
    ]


def keys_told(session: ScriptedSession) -> list[str]:
    """Keys that it was told."""
    return [
        message.text
        for messages, _ in session.told
        for message in messages
        if isinstance(message, UserMessage) and message.typed
    ]
