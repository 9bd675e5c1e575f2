"""EngineReply: what an engine has sent of one reply, until a bot turn takes it.

EngineAnswer: a bot turn that is made of such replies: one, or several with tools between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Protocol

from gateway.audio.converter import Converter
from gateway.audio.format import AudioFormat
from gateway.conversation.actions import undone_action
from gateway.conversation.asking import expected_by
from gateway.conversation.chat_context import ChatContext
from gateway.conversation.preparation import end_task
from gateway.conversation.reply import Reply
from gateway.conversation.reply_tools import ReplyTools
from gateway.errors import ProviderError
from gateway.languages.questions import Questions
from gateway.providers.contracts import Message, Spoken, ToolCall, ToolResult
from gateway.providers.speech_to_speech import DELEGATED, SpeechSession

Item = Spoken | ToolCall | ProviderError | None
"""None = nothing more comes."""


class EngineReply:
    """Buffers one reply; the engine delivers faster than it is heard."""

    def __init__(self, reply_id: str, session: SpeechSession, line: AudioFormat) -> None:
        """Start empty.

        Args:
            reply_id: the session's.
            session: that makes it.
            line: format of what is taken, s16.
        """
        self.reply_id = reply_id
        self.session = session
        self.first_audio_s: float | None = None
        """When its first audio came, by the clock of the loop."""
        self.length_ms = 0.0
        """Of the audio so far."""
        self.has_begun = False
        """Something of it has come, if only its end."""
        self.words = 0
        """Number of parts with words that have come."""
        self.has_calls = False
        """Tool calls of it have come that were not taken."""
        self.is_over = False
        self.is_broken_off = False
        """Its session was over before it was."""
        self._converter = Converter(session.output_format, line)
        self._has_tail = False
        self._line = line
        self._items: asyncio.Queue[Item] = asyncio.Queue()

    def add(self, audio: bytes, text: str = "") -> None:
        """Accept a part of its sound with the words that begin in it, or words alone."""
        if self.is_over:
            return
        if audio and self.first_audio_s is None:
            self.first_audio_s = asyncio.get_running_loop().time()
        self._has_tail = self._has_tail or bool(audio)
        self.has_begun = self.has_begun or bool(audio or text)
        self.words += bool(text)
        self._put(self._converter.process(audio) if audio else b"", text)

    def _put(self, pcm: bytes, text: str) -> None:
        self.length_ms += self._line.seconds(pcm) * 1000
        if pcm or text:
            self._items.put_nowait(Spoken(pcm, text))

    def ask(self, call: ToolCall) -> None:
        """Accept a tool call behind what was said before it."""
        if not self.is_over:
            self._flush()
            self.has_begun = self.has_calls = True
            self._items.put_nowait(call)

    def end(self, error: ProviderError | None = None) -> None:
        """Note that nothing more comes.  Idempotent."""
        if self.is_over:
            return
        self._flush()
        self.has_begun = self.is_over = True
        self._items.put_nowait(error)

    def break_off(self) -> None:
        """Note that its session is over: what has come is all that there is."""
        self.is_broken_off = not self.is_over
        self.end()

    def _flush(self) -> None:
        if self._has_tail:
            self._has_tail = False
            self._put(self._converter.flush(), "")

    async def next(self) -> Item:
        """Wait for what comes next."""
        return await self._items.get()

    def take_calls(self, first: ToolCall) -> list[ToolCall]:
        """Return a call with those that have come right behind it: they run side by side."""
        calls = [first]
        self.has_calls = False
        queued: list[Item] = []
        while not self._items.empty():
            item = self._items.get_nowait()
            if isinstance(item, ToolCall) and not queued:
                calls.append(item)
            else:
                queued.append(item)
        for item in queued:
            self.has_calls |= isinstance(item, ToolCall)
            self._items.put_nowait(item)
        return calls


class Engine(Protocol):
    """What an answer reports to its engine."""

    def tell(self, messages: Sequence[Message], *, answer: bool) -> None:
        """Add to the engine's history."""

    def cut(self, session: SpeechSession, reply_id: str, heard_ms: int) -> None:
        """Stop a reply of which this was heard."""


class EngineAnswer:
    """One bot turn; `say` is its source."""

    def __init__(
        self,
        engine: Engine,
        context: ChatContext,
        tools: ReplyTools,
        group: asyncio.TaskGroup,
        questions: Questions,
    ) -> None:
        """Wait for the engine to begin.

        Args:
            engine: is told what came of it.
            context: the history.
            tools: that the engine may ask for.
            group: owns the task in which they run beside the engine's speech.
            questions: tell what it has asked for.
        """
        self._engine = engine
        self._context = context
        self._tools = tools
        self._group = group
        self._questions = questions
        self._running: asyncio.Task[None] | None = None
        """Tools; what the engine says meanwhile is heard."""
        self._parts: asyncio.Queue[EngineReply | None] = asyncio.Queue()
        self._known: list[EngineReply] = []
        self._reply: Reply | None = None
        self._text = ""
        self._withdrawn: set[str] = set()
        self._acts: list[ToolResult] = []
        """What the engine is told of actions once they are done, or are not done."""
        self._is_due = True
        self._words = 0
        """What had come of the latest reply when the engine was told to go on."""

    @property
    def is_due(self) -> bool:
        """True while the engine has to begin a reply that belongs to it, or to go on with one.

        The latter in full duplex: a reply ends by silence there, and may hold the answer.
        """
        part = self._known[-1] if self._known else None
        goes_on = part is not None and part.session.turns == "none"
        return self._is_due and not (goes_on and part and part.words > self._words)

    @property
    def is_owed(self) -> bool:
        """True while a further reply of the engine belongs to it: now, or behind its tools."""
        has_calls = any(part.has_calls for part in self._known)
        return self.is_due or has_calls or self._running is not None

    @property
    def parts(self) -> Sequence[EngineReply]:
        """The engine's replies that it is made of, so far."""
        return self._known

    @property
    def is_broken_off(self) -> bool:
        """True when its latest reply ended with its session."""
        return bool(self._known) and self._known[-1].is_broken_off

    @property
    def is_silent(self) -> bool:
        """True while the engine is to speak and nothing has come of that."""
        return self.is_due or (bool(self._known) and not self._known[-1].has_begun)

    def has(self, part: EngineReply) -> bool:
        """Return whether a reply of the engine is part of it."""
        return part in self._known

    def adopt(self, part: EngineReply) -> None:
        """Go on with a reply that the engine has begun."""
        self._is_due = False
        self._known.append(part)
        self._parts.put_nowait(part)

    def give_up(self) -> None:
        """End with what has come: nothing more will."""
        self._is_due = False
        self._parts.put_nowait(None)

    def withdraw(self, call_ids: Sequence[str]) -> None:
        """Report no results of these calls: the engine does not want them any more."""
        self._withdrawn.update(call_ids)

    async def say(self, reply: Reply) -> AsyncGenerator[str | Spoken, None]:
        """Yield the engine's speech; run its tools where it asks for them.

        Raises:
            ProviderError: the engine could not finish it.
        """
        self._reply = reply
        text = ""
        try:
            while True:
                part = await self._parts.get()
                is_joined = False
                while part is not None and (item := await part.next()) is not None:
                    if isinstance(item, ProviderError):
                        raise item
                    if isinstance(item, ToolCall):
                        await self._start_tools(part.take_calls(item), reply)
                        continue
                    if reply.figures.engine_audio_s is None:
                        reply.figures.engine_audio_s = part.first_audio_s
                    if item.text and not is_joined:
                        item, is_joined = _joined(text, item), True
                    self._text += item.text
                    text += item.text
                    yield item
                if not self.is_owed and self._parts.empty():
                    break
            reply.outcome.is_answer = True
        finally:
            if self._running is not None:
                await end_task(self._running)
                self._running = None
            self._context.add_assistant(self._text.strip())
            reply.outcome.expect = reply.outcome.expect or expected_by(text, self._questions)

    async def _start_tools(self, calls: Sequence[ToolCall], reply: Reply) -> None:
        """Run tools beside the speech that goes on; those before come to their end first."""
        if self._running is not None:
            await asyncio.wait([self._running])
        self._context.add_assistant(self._text.strip(), calls)
        said, self._text = bool(self._text.strip()), ""
        self._running = self._group.create_task(self._run(calls, reply, said=said))

    async def _run(self, calls: Sequence[ToolCall], reply: Reply, *, said: bool) -> None:
        """Run tools and report what came of them; what was said is followed by an answer to it."""
        acts, hints = len(reply.outcome.actions), reply.outcome.hints
        results: list[ToolResult] = []
        is_over = False
        try:
            await self._tools.run(calls, reply, results.extend)
            is_over = True
        finally:
            done = len(reply.outcome.actions) - acts + reply.outcome.hints - hints
            wanted = [r for r in results if r.call_id not in self._withdrawn and not r.is_running]
            is_spoken = any(call.name == DELEGATED for call in calls)  # the result is
            if is_over and said and done == len(calls) and not is_spoken:  # it needs no last word
                self._acts += wanted
            elif wanted:
                self._is_due = is_over
                self._words = self._known[-1].words
                self._engine.tell(wanted, answer=is_over)
            self._running = None
            self._parts.put_nowait(None)

    def over(self, *, is_cut: bool) -> None:
        """Note that it has given up the floor; the engine learns what was heard of it."""
        if self._acts:
            acts = list(map(undone_action, self._acts)) if is_cut else self._acts
            self._engine.tell(acts, answer=False)
        if not is_cut:
            return
        heard_ms = self._reply.speech_played_ms if self._reply is not None else 0
        for part in self._known:
            is_heard = part.is_over and heard_ms >= part.length_ms
            if part.reply_id and not is_heard:
                position_ms = min(heard_ms, round(part.length_ms))
                self._engine.cut(part.session, part.reply_id, position_ms)
            heard_ms = max(0, heard_ms - round(part.length_ms))


def _joined(before: str, item: Spoken) -> Spoken:
    """Return the first words of a reply apart from those of the one before."""
    is_apart = not before or before[-1].isspace() or item.text[0].isspace()
    return item if is_apart else replace(item, text=f" {item.text}")
