"""The supervisor's end of the control socket: commands with replies, events as an iterator."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

import structlog
from pydantic import BaseModel, ValidationError

from gateway.errors import CommandError
from gateway.process.framing import ANSWER_LIMIT_BYTES, to_error, to_line
from gateway.process.messages import UPWARD, Answer, Command, Event, Request

log = structlog.get_logger(__name__)

R = TypeVar("R", bound=BaseModel)

_RETRY_S = 0.05
_EVENTS_KEPT = 10_000


class ControlClient(asyncio.Protocol):
    """One connection to a worker.  Made by `connect`; loop thread only.

    A protocol, not a stream: it needs no task.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unfinished = bytearray()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._last_id = 0
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._has_news = asyncio.Event()
        self._is_closed = False

    @property
    def is_connected(self) -> bool:
        """False once the worker is gone."""
        return not self._is_closed

    async def request(self, command: Command, reply: type[R], timeout_s: float = 10.0) -> R:
        """Send a command and wait for its reply.

        Args:
            command: what to do.
            reply: the type that answers it (see each command in `messages`).
            timeout_s: how long the worker may take.

        Raises:
            SipError: as the worker raised it (CallNotFound, NoCallSlot, TransferFailed, ...).
            CommandError: 503 worker gone, 504 no answer in time, or as the worker raised it.
        """
        if self._is_closed or self._transport is None:
            raise _gone()
        self._last_id += 1
        request_id = self._last_id
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answered
        try:
            self._transport.write(to_line(Request(id=request_id, command=command)))
            async with asyncio.timeout(timeout_s):
                answer = await answered
        except TimeoutError as error:
            told = f"no answer from the worker within {timeout_s:g} s"
            raise CommandError(504, told) from error
        finally:
            del self._waiting[request_id]
        if answer.error is not None:
            raise to_error(answer.error)
        return _validated(reply, answer)

    async def events(self) -> AsyncIterator[Event]:
        """Yield events in order; ends when the worker is gone.  For one reader."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._is_closed:
                return
            self._has_news.clear()
            await self._has_news.wait()

    def close(self) -> None:
        """Close the connection; what still waits fails.  Idempotent."""
        if self._transport is not None:
            self._transport.close()
        self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop: cut into lines."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._unfinished) + lines[0]
            self._unfinished = bytearray(rest)
        else:
            self._unfinished += rest
        for line in lines:
            self._take(line)
        if len(self._unfinished) > ANSWER_LIMIT_BYTES:
            log.error("control_line_too_long")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: the worker is gone, or `close` was called."""
        self._is_closed = True
        self._has_news.set()
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(_gone())

    def _take(self, line: bytes) -> None:
        try:
            message = UPWARD.validate_json(line)
        except ValidationError:
            log.exception("control_message_not_understood", bytes=len(line))
            return
        if not isinstance(message, Answer):
            self._events.append(message.notice)
            self._has_news.set()
            return
        answered = self._waiting.get(message.id)
        if answered is not None and not answered.done():
            answered.set_result(message)


@asynccontextmanager
async def connect(path: Path, timeout_s: float = 30.0) -> AsyncIterator[ControlClient]:
    """Connect to a worker that may still be starting.

    Raises:
        CommandError: 503, there is no listener within `timeout_s`.
    """
    client = await _connected(path, timeout_s)
    try:
        yield client
    finally:
        client.close()


async def _connected(path: Path, timeout_s: float) -> ControlClient:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    opened = await loop.create_unix_connection(ControlClient, str(path))
                    return opened[1]
                except (FileNotFoundError, ConnectionRefusedError):
                    await asyncio.sleep(_RETRY_S)
    except TimeoutError as error:
        raise CommandError(503, f"no worker answers at {path}") from error


def _validated(reply: type[R], answer: Answer) -> R:
    try:
        return reply.model_validate(answer.reply)
    except ValidationError as error:
        raise CommandError(500, f"the worker's reply is not a {reply.__name__}") from error


def _gone() -> CommandError:
    return CommandError(503, "the worker is gone")
