"""EngineStream: the endless audio of a full-duplex engine, cut into replies."""

from __future__ import annotations

from collections.abc import Callable

from gateway.audio.converter import Converter
from gateway.audio.format import AudioFormat
from gateway.conversation.engine_reply import EngineReply
from gateway.providers.speech_to_speech import ReplyAudio, ReplyEnded, ReplyStarted, ReplyText
from gateway.turn.stream_segmenter import StreamSegmenter


class EngineStream:
    """Makes an `EngineReply` of each stretch of speech; those have no id of the engine."""

    def __init__(self, line: AudioFormat, on_begin: Callable[[EngineReply], None]) -> None:
        """Start in silence.

        Args:
            line: format of what is played, s16.
            on_begin: called with each reply as it begins.
        """
        self._line = line
        self._on_begin = on_begin
        self._segmenter = StreamSegmenter(line.sample_rate_hz)
        self._converter: Converter | None = None
        self._source: AudioFormat | None = None
        self.current: EngineReply | None = None
        """That goes on."""

    def hear(
        self, event: ReplyStarted | ReplyAudio | ReplyText | ReplyEnded, engine: AudioFormat
    ) -> None:
        """Accept what the engine has sent, in its format."""
        if isinstance(event, ReplyAudio):
            self._audio(event, engine)
        elif isinstance(event, ReplyText) and self.current is not None:
            self.current.add(b"", event.text)
        elif isinstance(event, ReplyEnded):
            self._end()

    def _audio(self, event: ReplyAudio, engine: AudioFormat) -> None:
        if self._converter is None or self._source != engine:
            self._converter, self._source = Converter(engine, self._line), engine
        found = self._segmenter.push(self._converter.process(event.audio), event.text)
        if found.what == "begins":
            self.current = EngineReply("", self._line, self._line)
            self._on_begin(self.current)
        if found.what == "ends":
            self._end()
        elif self.current is not None and found.what != "silence":
            self.current.add(found.pcm, event.text)

    def _end(self) -> None:
        if self.current is not None:
            self.current.end()
            self.current = None
