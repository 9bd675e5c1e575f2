"""What the doubles of Google's services share: a gRPC server on 127.0.0.1 by the vendor's types."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc import aio

from tests.support.faults import Fault

Handler = Callable[[AsyncIterator[Any], Any], Awaitable[None]]
CODES = {
    "quota": (grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded: You have no credits left."),
    "rate": (grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many concurrent requests."),
    "voice": (grpc.StatusCode.INVALID_ARGUMENT, "No such voice: anna."),
    "key": (grpc.StatusCode.UNAUTHENTICATED, "Unknown key sk-secret+key/1."),
    "format": (grpc.StatusCode.INVALID_ARGUMENT, "It is format (key sk-secret+key/1)."),
    "broken": (grpc.StatusCode.INTERNAL, "It is broken (key sk-secret+key/1)."),
}


class GrpcCall:
    """One call, with what the doubles ask of a WebSocket."""

    def __init__(self, context: Any, answer: Any) -> None:
        self._context = context
        self._answer = answer
        self.transport = self
        self.broken = asyncio.Event()

    async def send(self, message: Any) -> None:
        """Send fields of the answer, or bytes as they are."""
        if self.broken.is_set():
            return
        is_raw = isinstance(message, bytes | str)
        raw = message.encode() if isinstance(message, str) else message
        await self._context.write(raw if is_raw else self._answer.serialize(self._answer(message)))

    def abort(self) -> None:
        """Lose the connection."""
        self.broken.set()

    async def close(self, *_: object) -> None:
        self.broken.set()

    async def wait_closed(self) -> None:
        await asyncio.Event().wait()  # until the client cancels

    async def refuse(self, trouble: str) -> None:
        code, words = CODES[trouble]
        await self._context.abort(code, words)


class GrpcServer:
    """Serves methods in both directions and questions with one answer."""

    def __init__(self, service: str, key: str) -> None:
        self._service = service
        self._key = key
        self._server: Any = None
        self.port = 0

    async def start(
        self,
        streams: dict[str, tuple[Any, Handler]],
        questions: dict[str, tuple[Any, Callable[[Any, Any], Awaitable[bytes]]]],
    ) -> None:
        """Serve by the classes of the requests (of proto-plus) and what answers them."""
        handlers = {
            name: grpc.stream_stream_rpc_method_handler(
                handler, request_deserializer=request.pb().FromString
            )
            for name, (request, handler) in streams.items()
        } | {
            name: grpc.unary_unary_rpc_method_handler(
                handler, request_deserializer=request.pb().FromString
            )
            for name, (request, handler) in questions.items()
        }
        self._server = aio.server()
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(self._service, handlers),)
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)

    async def judge(self, context: Any, fault: Fault) -> None:
        """Refuse a call whose key is wrong, or as the fault of the moment wants."""
        keys = [value for name, value in context.invocation_metadata() if name == "x-goog-api-key"]
        if fault is Fault.DOWN:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        if fault is Fault.REFUSED or keys != [self._key]:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, f"unknown key {self._key}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"
