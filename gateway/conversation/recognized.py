"""One stream of caller audio at a recognizer, opened again when its connection is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from gateway.audio.converter import Converter
from gateway.audio.format import ANALYSIS, AudioFormat
from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.conversation.meter import RecognizerMeter
from gateway.conversation.recognizer_session import RecognizerSession
from gateway.errors import ProviderError, ProviderUnavailable
from gateway.providers.contracts import (
    Expect,
    ListeningStream,
    SttStream,
    Transcript,
    TurnMark,
)

Found = Transcript | TurnMark


@dataclass(frozen=True, slots=True)
class Recognizing:
    """What all streams of a conversation share."""

    call: LiveCall
    session: RecognizerSession
    input_format: AudioFormat
    """Of the recognizer."""
    on_failure: Callable[[ProviderError], None]
    meter: RecognizerMeter


class Recognized:
    """One caller turn, or everything that the caller says.  Loop thread only.

    A connection that is lost is replaced once for each turn, and gets the audio again that the call
    still keeps (`CallAudio.recent`).
    """

    def __init__(
        self,
        use: Recognizing,
        since: int,
        on_found: Callable[[Found, int], None],
        expect: Expect | None = None,
    ) -> None:
        """Begin.

        Args:
            use: where.
            since: audio time from which on caller audio is recognized.
            on_found: called with what was found and the audio time up to which it holds.
            expect: of the turn; None = it goes on turn after turn (`ListeningStream`).
        """
        self._use = use
        self._since = since
        self._on_found = on_found
        self._expect = expect
        self._stream: SttStream | ListeningStream | None = None
        self._waiting: list[bytes] = []
        self.was_requested = False
        """True once a transcript was asked for."""
        self._is_asked = False
        self._among: tuple[str, ...] = ()
        self._was_replaced = False
        self._is_stopped = False
        self.failed_at: int | None = None
        """Audio time at which it has ended without being stopped."""
        self._rewind()
        self._task = use.call.group.create_task(self._run())

    def push(self, pcm: bytes) -> None:
        """Pass on caller audio in the format of the call."""
        audio = self._converter.process(pcm)
        if self._stream is None:
            self._waiting.append(audio)
        else:
            self._send(self._stream, audio)

    def request(self, among: tuple[str, ...]) -> None:
        """Ask for the transcript of all so far, which may well be one of some phrases."""
        self.was_requested = self._is_asked = True
        self._among = among
        if self._stream is not None:
            self._stream.request_transcript(among)

    def caller_goes_on(self) -> None:
        """Note that the transcript that was asked for is not awaited any more."""
        self._is_asked = False
        if self._stream is not None:
            self._stream.caller_goes_on()

    def turn_over(self, now: int) -> None:
        """Note that what was heard so far belongs to a turn that is over (`ListeningStream`)."""
        self._since = now
        self._is_asked = self._was_replaced = False
        if self._stream is None:
            self._rewind()
        elif self._expect is None:
            stream: ListeningStream = self._stream  # type: ignore[assignment]  # see `_opened`
            stream.turn_over()

    def stop(self) -> None:
        """End it; nothing it finds counts any more."""
        self._is_stopped = True
        self._task.cancel()

    def _rewind(self) -> None:
        """Begin with the audio since the turn began, as far as it is kept."""
        audio, target = self._use.call.audio, self._use.input_format
        pcm, self._begins = audio.recent(max(0, audio.now - self._since))
        self._converter = Converter(audio.format, target)
        self._waiting = [self._converter.process(pcm)]

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._hear()
                except ProviderUnavailable as error:
                    if self._was_replaced or not self._use.session.was_open:
                        raise
                    self._was_replaced = True
                    problem, cause = str(error), error.kind
                    self._use.call.note(events.RecognizerLost(problem=problem, cause=cause))
                else:
                    return
                finally:
                    self._stream = None
                self._rewind()
        except ProviderError as error:
            if not self._is_stopped:
                self.failed_at = self._use.call.audio.now
                self._use.on_failure(error)

    async def _hear(self) -> None:
        async with self._opened() as stream:
            self._begin(stream)
            found: AsyncIterator[Found] = aiter(stream)
            async for each in found:
                if self._is_stopped:
                    return
                if isinstance(each, Transcript) and each.requested:
                    self._is_asked = False
                samples = (
                    each.audio_end_samples if isinstance(each, Transcript) else each.audio_samples
                )
                self._on_found(each, self._covers(samples))

    def _opened(self) -> AbstractAsyncContextManager[SttStream | ListeningStream]:
        if self._expect is None:
            return self._use.session.listen()
        return self._use.session.stream(self._expect)

    def _begin(self, stream: SttStream | ListeningStream) -> None:
        for audio in self._waiting:
            self._send(stream, audio)
        self._waiting.clear()
        self._stream = stream
        if self._is_asked:
            stream.request_transcript(self._among)

    def _send(self, stream: SttStream | ListeningStream, audio: bytes) -> None:
        stream.push(audio)
        self._use.meter.heard(self._use.input_format.seconds(audio))

    def _covers(self, samples: int) -> int:
        rate_hz = self._use.input_format.sample_rate_hz
        return self._begins + samples * ANALYSIS.sample_rate_hz // rate_hz
