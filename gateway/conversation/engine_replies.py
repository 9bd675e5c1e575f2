"""EngineReplies: sorts what an engine sends into the replies that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.audio.format import AudioFormat
from gateway.conversation.engine_reply import EngineReply
from gateway.errors import ProviderUnavailable
from gateway.providers.speech_to_speech import (
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SpeechSession,
    ToolAsked,
)

ReplyEvent = ReplyStarted | ReplyAudio | ReplyText | ReplyEnded


class EngineReplies:
    """The replies of one session that are not over.  Drops what comes for others: they were cut."""

    def __init__(
        self,
        name: str,
        line: AudioFormat,
        on_begin: Callable[[EngineReply], None],
        on_interrupted: Callable[[EngineReply], None],
    ) -> None:
        """Start without any.

        Args:
            name: of the engine, for errors.
            line: format of what is played, s16.
            on_begin: called with each reply as it begins.
            on_interrupted: called with a reply that the engine has stopped itself.
        """
        self._name = name
        self._line = line
        self._on_begin = on_begin
        self._on_interrupted = on_interrupted
        self._open: dict[str, EngineReply] = {}

    def hear(self, event: ReplyEvent, session: SpeechSession) -> None:
        """Accept what a session sends."""
        if isinstance(event, ReplyStarted):
            self._open[event.reply_id] = part = EngineReply(event.reply_id, session, self._line)
            self._on_begin(part)
        elif event.reply_id in self._open:
            self._goes_on(self._open[event.reply_id], event)

    def _goes_on(self, part: EngineReply, event: ReplyAudio | ReplyText | ReplyEnded) -> None:
        if isinstance(event, ReplyAudio):
            part.add(event.audio, event.text)
        elif isinstance(event, ReplyText):
            part.add(b"", event.text)
        else:
            del self._open[event.reply_id]
            problem = event.problem or "could not finish a reply"
            part.end(ProviderUnavailable(self._name, problem) if event.end == "failed" else None)
            if event.end == "interrupted":
                self._on_interrupted(part)

    def ask(self, event: ToolAsked, session: SpeechSession) -> None:
        """Accept a tool call, behind what was said before it; it may be a reply of its own."""
        part = self._open.get(event.reply_id) or next(reversed(self._open.values()), None)
        if part is not None:
            part.ask(event.call)
            return
        part = EngineReply(event.reply_id, session, self._line)
        self._on_begin(part)
        part.ask(event.call)
        part.end()

    def forget(self, parts: Iterable[EngineReply]) -> None:
        """Drop what still comes of these."""
        for part in parts:
            if self._open.get(part.reply_id) is part:
                del self._open[part.reply_id]

    def end(self) -> None:
        """Nothing more comes of any: the session is over."""
        for part in self._open.values():
            part.break_off()
        self._open.clear()
