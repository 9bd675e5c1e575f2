"""Google's streaming calls, one after the other, as one connection.

A call lasts five minutes at most.  Before that another one takes its place: between words where
there is a pause in time, else with the audio again whose words were not final yet.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderProtocolError
from gateway.providers.kit.google_cloud import GoogleCloud, Stream

METHOD = "/google.cloud.speech.v2.Speech/StreamingRecognize"
FLUSH = b""
"""As a message: the final words of all audio so far are wanted."""
_MOST_BYTES = 15_000
"""Of audio in a message; the vendor takes 25 KB."""
_QUIET_S = 10.0
"""Audio that is sent again at most where no words are known: one may have begun meanwhile."""
_LATEST = 1.15
"""Of the time after which a call is replaced in the next pause: then it is in mid-word, too."""


class _Call:
    """One of the calls.  The audio of what is not final is kept."""

    def __init__(self, begins: int, began_s: float) -> None:
        self.begins = begins
        """Bytes of the connection before its first."""
        self.began_s = began_s
        self.sent = 0
        self.kept = bytearray()
        self.is_speaking = False
        """Words are in progress."""
        self.is_replaced = False
        self.is_flushed = False
        self.requests: asyncio.Queue[Any] = asyncio.Queue()
        self.stream: Stream | None = None

    def hear(self, audio: bytes) -> None:
        self.kept += audio
        self.sent += len(audio)

    def is_final_to(self, at: int) -> None:
        """Note up to which byte of the call words are final."""
        first = self.sent - len(self.kept)
        del self.kept[: max(0, min(at - first, len(self.kept)))]


class GoogleCalls:
    """Satisfies `Link`: messages are audio, or `FLUSH`; answers are those of protobuf."""

    def __init__(
        self,
        cloud: GoogleCloud,
        configuration: Any,  # noqa: ANN401 - a message of protobuf
        types: Any,  # noqa: ANN401 - a module
        audio: AudioFormat,
        replaced_after_s: float,
    ) -> None:
        """Begin without a call: it comes with the first audio.

        Args:
            cloud: a channel that is connected.
            configuration: the first request of each call.
            types: `cloud_speech`.
            audio: format.
            replaced_after_s: age of a call from which on it is replaced.
        """
        self._cloud = cloud
        self._configuration = configuration
        self._request = types.StreamingRecognizeRequest.pb()
        self._answer = types.StreamingRecognizeResponse.pb()
        self._audio = audio
        self._replaced_after_s = replaced_after_s
        self._byte_rate = audio.sample_rate_hz * audio.sample_bytes
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._calls: deque[_Call] = deque()
        """The one that is answered first; behind it those that follow."""
        self._latest: _Call | None = None
        """The one that takes audio."""
        self._sent = 0
        self._has_call = asyncio.Event()
        self.is_open = True

    def post(self, message: str | bytes) -> None:
        """Send audio, or ask for the final words."""
        if not isinstance(message, bytes) or not self.is_open:
            return
        if message == FLUSH:
            call = self._latest or self._begin()
            call.is_flushed = True
            call.requests.put_nowait(None)
            self._latest = None
            return
        call = self._latest or self._begin()
        age_s = self._now() - call.began_s
        if age_s >= self._replaced_after_s * (_LATEST if call.is_speaking else 1.0):
            call = self._replace(call)
        self._send(call, message)
        self._sent += len(message)

    async def receive(self) -> Any:  # noqa: ANN401 - see the class
        """Return (call's beginning in s, answer), the answer None behind a flush.

        Raises:
            ProviderError: a call has failed.
        """
        import grpc  # noqa: PLC0415 - of an extra

        while True:
            while not self._calls:
                self._has_call.clear()
                await self._has_call.wait()
            call = self._calls[0]
            assert call.stream is not None  # noqa: S101 - `_begin` sets it
            try:
                answer = await anext(aiter(call.stream))
            except StopAsyncIteration:
                self._calls.popleft()
                if call.is_flushed and not call.is_replaced:
                    return 0.0, None
                if call is self._latest:  # the vendor ends it of its own accord
                    self._latest = None
                continue
            except grpc.RpcError as error:
                self._calls.popleft()
                if call.is_replaced:
                    continue
                self.is_open = False
                raise self._cloud.translated(error) from error
            if answer is None:
                self.is_open = False
                raise self._cloud.unreadable()
            if not call.is_replaced:
                self._note(call, answer)
                return self._s(call.begins), answer

    def parsed(self, message: str | bytes) -> dict[str, object]:
        """Refuse: answers are no JSON."""
        raise self._cloud.error(ProviderProtocolError, f"{message!r} is no answer")

    async def close(self) -> None:
        """Cancel every call, and the vendor's meter with it."""
        self.is_open = False
        for call in self._calls:
            call.requests.put_nowait(None)
            if call.stream is not None:
                call.stream.cancel()
                await call.stream.code()
        await asyncio.sleep(0)  # gRPC's own tasks end behind that

    def _begin(self) -> _Call:
        call = _Call(self._sent, self._now())
        call.stream = self._cloud.stream(METHOD, self._requests(call), self._answer)
        self._calls.append(call)
        self._latest = call
        self._has_call.set()
        return call

    def _replace(self, old: _Call) -> _Call:
        """Begin another call with the audio again that has no final words yet."""
        again = bytes(old.kept)
        if not old.is_speaking:
            again = again[-round(_QUIET_S * self._byte_rate) // 2 * 2 :]
        old.is_replaced = True
        old.requests.put_nowait(None)
        call = self._begin()
        call.begins -= len(again)
        self._send(call, again)
        return call

    def _send(self, call: _Call, audio: bytes) -> None:
        call.hear(audio)
        for at in range(0, len(audio), _MOST_BYTES):
            call.requests.put_nowait(self._request(audio=audio[at : at + _MOST_BYTES]))

    def _note(self, call: _Call, answer: Any) -> None:  # noqa: ANN401 - see the class
        for result in answer.results:
            call.is_speaking = not result.is_final
            if result.is_final:
                end_s = result.result_end_offset.ToTimedelta().total_seconds()
                call.is_final_to(round(end_s * self._byte_rate) // 2 * 2)

    def _s(self, at: int) -> float:
        return at / self._byte_rate

    async def _requests(self, call: _Call) -> AsyncIterator[Any]:
        yield self._configuration
        while (request := await call.requests.get()) is not None:
            yield request
