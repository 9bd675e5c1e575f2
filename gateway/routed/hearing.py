"""Hearing: one stream of caller audio at recognizers behind a router, one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from gateway.audio.converter import Converter
from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError
from gateway.providers.contracts import (
    ListeningStream,
    SpeechToText,
    SttStream,
    Transcript,
    TurnMark,
)
from gateway.routed.route import Route

_KEPT_S = 30.0
"""Audio of a turn that another recognizer gets at most."""
Opened = SttStream | ListeningStream


class Hearing:
    """Satisfies `contracts.SttStream` and `contracts.ListeningStream`."""

    def __init__(
        self,
        route: Route[SpeechToText],
        input_format: AudioFormat,
        opening: Callable[[str], AbstractAsyncContextManager[Opened]],
    ) -> None:
        """Begin with an empty turn.

        Args:
            route: of the call.
            input_format: of what is pushed.
            opening: opens a stream at one of the recognizers.
        """
        self._route = route
        self._format = input_format
        self._opening = opening
        self._order = route.candidates()
        self._kept: deque[bytes] = deque()
        """Audio of the turn."""
        self._kept_bytes = 0
        self._pushed_bytes = 0
        self._stream: Opened | None = None
        self._name = ""
        self._target = input_format
        """Of the present recognizer."""
        self._has_heard = False
        self._converter = Converter(input_format, input_format)
        self._offset_samples = 0
        """Where in what was pushed here the audio of the present recognizer begins."""
        self._is_asked = False
        self._among: Sequence[str] = ()
        self._counted_bytes = 0

    def push(self, pcm: bytes) -> None:
        """Accept caller audio."""
        self._kept.append(pcm)
        self._kept_bytes += len(pcm)
        self._pushed_bytes += len(pcm)
        while self._kept_bytes > _KEPT_S * self._format.sample_rate_hz * self._format.sample_bytes:
            self._kept_bytes -= len(self._kept.popleft())
        if self._stream is not None:
            self._stream.push(self._converter.process(pcm))

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        """Ask for a transcript of all so far."""
        self._is_asked, self._among = True, among
        if self._stream is not None:
            self._stream.request_transcript(among)

    def caller_goes_on(self) -> None:
        """Note that no requested transcript is awaited."""
        self._is_asked = False
        if self._stream is not None:
            self._stream.caller_goes_on()

    def turn_over(self) -> None:
        """Forget the audio of a turn that is over (`ListeningStream`)."""
        self._kept.clear()
        self._kept_bytes, self._is_asked = 0, False
        stream = self._stream
        if stream is not None:
            stream.turn_over()  # type: ignore[union-attr]  # of a session that listens

    def close(self) -> None:
        """Count the rest of what was heard."""
        self._count()
        self._stream = None

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield what comes.  Raises ProviderError: no recognizer works."""
        order = self._order
        while True:
            name, error = order[0], None
            self._route.asks(name)
            try:
                async for found in self._heard(name):
                    yield found
            except ProviderError as failure:
                error = failure
            except (GeneratorExit, asyncio.CancelledError):
                self._route.worked(name) if self._has_heard else self._route.abandoned(name)
                raise
            finally:
                self._count()
                self._stream = None
            if error is None:
                self._route.worked(name)
                return
            self._route.failed(name, error)
            order = order[1:]
            if not order:
                raise error
            self._route.switched(name, order[0], error)

    async def _heard(self, name: str) -> AsyncGenerator[Transcript | TurnMark, None]:
        self._has_heard = False
        async with self._opening(name) as stream:
            self._begin(name, stream)
            async for found in stream:
                self._has_heard = True
                if isinstance(found, Transcript):
                    self._is_asked = self._is_asked and not found.requested
                    at = self._place(found.audio_end_samples)
                    yield replace(found, audio_end_samples=at)
                else:
                    yield replace(found, audio_samples=self._place(found.audio_samples))

    def _begin(self, name: str, stream: Opened) -> None:
        self._name = name
        self._target = self._route.engine(name).input_format
        self._converter = Converter(self._format, self._target)
        began = self._pushed_bytes - self._kept_bytes
        self._offset_samples = began // self._format.sample_bytes
        self._counted_bytes = began
        for pcm in self._kept:
            stream.push(self._converter.process(pcm))
        self._stream = stream
        if self._is_asked:
            stream.request_transcript(self._among)

    def _place(self, samples: int) -> int:
        rate_hz = self._format.sample_rate_hz
        return self._offset_samples + samples * rate_hz // self._target.sample_rate_hz

    def _count(self) -> None:
        """Count the audio that the present recognizer has got."""
        if self._stream is not None:
            more, self._counted_bytes = self._pushed_bytes - self._counted_bytes, self._pushed_bytes
            audio_s = more / self._format.sample_bytes / self._format.sample_rate_hz
            self._route.heard(self._name, audio_s)
