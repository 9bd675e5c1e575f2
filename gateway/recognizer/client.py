"""A worker's connection to the recognizer: requests out, answers to their callbacks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import cast

from gateway.errors import ProviderError, ProviderUnavailable
from gateway.recognizer.grammar import GrammarName
from gateway.recognizer.protocol import (
    Cancel,
    Decode,
    Decoded,
    EndOfTurnScore,
    FrameReader,
    GoesOn,
    Message,
    ProtocolViolation,
    Refused,
    encode,
)

_RETRY_S = 0.1
Reply = Decoded | EndOfTurnScore | Refused | ProviderError
OnReply = Callable[[Reply], None]


class RecognizerClient:
    """One connection, shared by all calls of a worker; made again when the recognizer restarts."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self._streams = itertools.count(1)

    @property
    def pending(self) -> int:
        """Requests that wait for an answer."""
        return len(self._link.pending) if self._link else 0

    async def open_stream(self, deadline_s: float) -> RecognizerStream:
        """Connect if need be and open one caller turn.

        Args:
            deadline_s: how long a recognizer that is just starting is waited for.

        Raises:
            ProviderUnavailable: no process listens on the socket.
        """
        async with self._connecting:
            if self._link is None or self._link.is_lost:
                self._link = await self._connect(deadline_s)
        return RecognizerStream(self._link, next(self._streams))

    def close(self) -> None:
        """Disconnect and fail the requests under way.  Idempotent."""
        if self._link is not None:
            self._link.abort()
            self._link = None

    async def _connect(self, deadline_s: float) -> _Link:
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + deadline_s
        while True:
            try:
                _, link = await loop.create_unix_connection(_Link, str(self._socket))
            except OSError as exc:
                if loop.time() + _RETRY_S > give_up_s:
                    problem = f"no recognizer on {self._socket}: {exc.strerror or exc}"
                    raise ProviderUnavailable("moonshine", problem) from exc
                await asyncio.sleep(_RETRY_S)
            else:
                return link


class RecognizerStream:
    """Requests of one caller turn.  Nothing here waits: answers come by callback on the loop."""

    def __init__(self, link: _Link, number: int) -> None:
        self._link = link
        self._number = number

    def decode(
        self,
        pcm: bytes,
        on_reply: OnReply,
        *,
        final: bool,
        choices: tuple[str, ...] = (),
        grammar: GrammarName | None = None,
        rate_hz: int = 8000,
    ) -> None:
        """Ask for `pcm` (mono s16le at `rate_hz`) to be recognized.

        `on_reply` is called once with the answer.  The latest final of a stream
        may also get an `EndOfTurnScore`, before or after.  A lost connection is reported as a
        `ProviderUnavailable`, at once or later.
        """
        head = Decode(
            id=self._link.next_id(),
            stream=self._number,
            rate_hz=rate_hz,
            final=final,
            choices=choices,
            grammar=grammar,
        )
        self._link.request(head, pcm, on_reply)

    def goes_on(self) -> None:
        """Take note that the caller speaks on: the latest final may stay unanswered."""
        self._link.goes_on(self._number)

    def close(self) -> None:
        """Withdraw what is still wanted; no callback of this stream is called any more."""
        self._link.withdraw(self._number)


class _Link(asyncio.Protocol):
    """One connection's bytes and the requests that wait on it."""

    def __init__(self) -> None:
        self.pending: dict[int, tuple[int, OnReply]] = {}
        self._known: set[int] = set()
        """Streams of which the recognizer may keep something."""
        self._scores: dict[int, tuple[int, OnReply]] = {}
        """By stream: its latest final request, and where its end-of-turn score goes."""
        self.is_lost = False
        self._ids = itertools.count(1)
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            for message, _ in self._reader.receive(data):
                self._settle(message)
        except ProtocolViolation:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        waiting, self.pending = self.pending, {}
        for _, on_reply in waiting.values():
            on_reply(_lost(exc))

    def next_id(self) -> int:
        return next(self._ids)

    def request(self, head: Decode, pcm: bytes, on_reply: OnReply) -> None:
        if self.is_lost or self._transport is None:
            on_reply(_lost(None))
            return
        self.pending[head.id] = (head.stream, on_reply)
        self._known.add(head.stream)
        if head.final:
            self._scores[head.stream] = (head.id, on_reply)
        self._transport.write(encode(head, pcm))

    def withdraw(self, stream: int) -> None:
        self._scores.pop(stream, None)
        self.pending = {n: entry for n, entry in self.pending.items() if entry[0] != stream}
        if stream in self._known and self._transport and not self.is_lost:
            self._transport.write(encode(Cancel(stream=stream)))
        self._known.discard(stream)

    def goes_on(self, stream: int) -> None:
        self._scores.pop(stream, None)
        if stream in self._known and self._transport and not self.is_lost:
            self._transport.write(encode(GoesOn(stream=stream)))

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _settle(self, message: Message) -> None:
        if isinstance(message, EndOfTurnScore):
            self._pass_on(message)
            return
        if not isinstance(message, Decoded | Refused):
            raise ProtocolViolation(f"a recognizer does not send {message.op!r}")
        waiting = self.pending.pop(message.id, None)
        if waiting is not None:
            waiting[1](message)

    def _pass_on(self, score: EndOfTurnScore) -> None:
        for number, on_reply in list(self._scores.values()):
            if number == score.id:
                on_reply(score)


def _lost(exc: Exception | None) -> ProviderUnavailable:
    why = f": {exc}" if exc else ""
    return ProviderUnavailable("moonshine", f"the connection to the recognizer is lost{why}")
