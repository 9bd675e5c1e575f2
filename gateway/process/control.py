"""The worker's end of the control socket: takes commands, answers each, sends events."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Protocol

import structlog
from pydantic import BaseModel, ValidationError

from gateway.errors import CommandError, GatewayError
from gateway.process.framing import COMMAND_LIMIT_BYTES, read_lines, to_error_reply, to_line
from gateway.process.messages import Answer, Command, Event, Notice, Request

log = structlog.get_logger(__name__)

_UNSENT_LIMIT_BYTES = 16 * 1024 * 1024


class CommandReceiver(Protocol):
    """Executes the commands."""

    async def do(self, command: Command) -> BaseModel:
        """Execute it and return its reply (see each command in `messages`).

        Commands run side by side, each in its own task; what has begun is brought to its end
        even when the connection that asked for it is gone.

        Raises:
            GatewayError: told to the other side as it is.
        """


class ControlServer:
    """Serves one Unix socket, readable by this user only.  Loop thread only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writers: set[asyncio.StreamWriter] = set()
        self._left = asyncio.Event()
        self.is_listening = asyncio.Event()
        """Set once connections are accepted."""

    async def serve(self, receiver: CommandReceiver) -> None:
        """Serve until cancelled; then every connection is closed and the socket removed.

        Raises:
            OSError: the socket cannot be made.
        """
        listener = _private_socket(self._path)
        async with asyncio.TaskGroup() as group:

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                group.create_task(self._connection(reader, writer, receiver))

            server = await asyncio.start_unix_server(
                connected, sock=listener, limit=COMMAND_LIMIT_BYTES
            )
            self.is_listening.set()
            try:
                await asyncio.Event().wait()  # until cancelled
            finally:
                server.close()
                self._path.unlink(missing_ok=True)

    def publish(self, event: Event) -> None:
        """Send an event to every connected client.  Never waits, never fails."""
        line = to_line(Notice(notice=event))
        for writer in self._writers:
            self._send(writer, line)

    async def abandoned(self) -> None:
        """Wait until the last of at least one client has disconnected."""
        await self._left.wait()

    async def _connection(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        receiver: CommandReceiver,
    ) -> None:
        self._writers.add(writer)
        self._left.clear()
        async with asyncio.TaskGroup() as commands:
            try:
                async for line in read_lines(reader):
                    commands.create_task(self._answer(line, writer, receiver))
            finally:
                self._writers.discard(writer)
                writer.close()
                if not self._writers:
                    self._left.set()

    async def _answer(
        self, line: bytes, writer: asyncio.StreamWriter, receiver: CommandReceiver
    ) -> None:
        request_id = 0  # no request has it: answers a line that is none
        try:
            request = _parse(line)
            request_id = request.id
            reply = await receiver.do(request.command)
            answer = Answer(id=request_id, reply=reply.model_dump(mode="json"))
        except GatewayError as error:
            answer = Answer(id=request_id, error=to_error_reply(error))
        except Exception as error:
            log.exception("command_crashed", request_id=request_id)
            answer = Answer(id=request_id, error=to_error_reply(error))
        self._send(writer, to_line(answer))

    def _send(self, writer: asyncio.StreamWriter, line: bytes) -> None:
        """Queue a line; a client that does not read is cut off before our memory is full."""
        if writer.is_closing():
            return
        if writer.transport.get_write_buffer_size() > _UNSENT_LIMIT_BYTES:
            log.warning("control_client_too_slow", path=str(self._path))
            writer.transport.abort()
            return
        writer.write(line)


def _private_socket(path: Path) -> socket.socket:
    """Bind a Unix socket that only this user can open, without a moment of being open to all."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener


def _parse(line: bytes) -> Request:
    try:
        return Request.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise CommandError(400, f"bad command: {where}: {first['msg']}") from error
