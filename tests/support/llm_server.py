"""A local OpenAI-compatible chat completions server whose every answer is scripted.

It streams, stalls, fails in the middle, and sees the cancelled socket.  By itself it answers like a
polite telephone agent, for benchmarks: `python -m tests.support.llm_server --port 9000`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

CREATED = 1_700_000_000


@dataclass(frozen=True)
class Call:
    """A tool call that the model asks for; its arguments are sent in pieces."""

    name: str
    arguments: str = "{}"
    id: str = "call_1"


@dataclass(frozen=True)
class Answer:
    """What the server does with one request.  Times in milliseconds."""

    text: str | None = None
    """None = echo what the user said last."""
    calls: tuple[Call, ...] = ()
    refusal: str = ""
    thoughts: str = ""
    """Before the answer, in protocols that have a place for them."""
    finish_reason: str = ""
    first_token_ms: float = 0
    token_ms: float = 0
    status: int = 200
    error: dict[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    chunks: tuple[dict[str, Any], ...] | None = None
    """Exactly these chunks instead of `text` and `calls`."""
    raw: bytes | None = None
    """Exactly this body."""
    replay: str | None = None
    """Exactly this body, with `{{pause S}}`, `{{drop}}` and `{{hold}}` on lines of their own."""
    hang: bool = False
    """Accept the request and never answer."""
    stall_after: int | None = None
    """Fall silent after so many chunks."""
    close_after: int | None = None
    """Drop the connection after so many chunks."""
    error_after: int | None = None
    """Send `error` as an event after so many chunks."""


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: int
    at_s: float = field(default_factory=time.monotonic)
    chunks_sent: int = 0
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """The whole answer was sent."""
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    """The client closed the connection before the answer was finished."""
    disconnected_at_s: float = 0.0


class LlmServer:
    """Serves on 127.0.0.1 while entered; answers from `script`, then echoes."""

    reply_path = "/chat/completions"
    """How the path of a request for a reply ends."""
    end = b"data: [DONE]\n\n"
    """Behind the last event."""

    def __init__(self, *script: Answer, default: Answer | None = None, port: int = 0) -> None:
        self.script = deque(script)
        self.default = default or Answer()
        self.by_model: dict[str, Answer] = {}
        """Instead of all else, to requests for these models."""
        self.port = port
        self.requests: list[Seen] = []
        self.connections = 0
        self.open_connections = 0
        self._progress = asyncio.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def completions(self) -> list[Seen]:
        return [seen for seen in self.requests if self.asks_for_a_reply(seen)]

    # --- what another protocol does otherwise ---

    def asks_for_a_reply(self, seen: Seen) -> bool:
        return seen.path.partition("?")[0].endswith(self.reply_path)

    def complaint(self, seen: Seen) -> Answer | None:
        """Refuse a request that the vendor would refuse."""
        return None

    def error_body(self, answer: Answer) -> dict[str, Any]:
        return {"error": answer.error or {"message": f"scripted {answer.status}"}}

    def events_of(self, body: dict[str, Any], answer: Answer) -> Iterator[dict[str, Any]]:
        """Yield a well-formed answer."""
        return reply_chunks(body, answer)

    def encoded(self, event: dict[str, Any]) -> bytes:
        return _event(event)

    def error_event(self, answer: Answer) -> dict[str, Any]:
        return {"error": answer.error}

    def models(self) -> dict[str, Any]:
        model = {"id": "test", "object": "model", "created": CREATED, "owned_by": "tests"}
        return {"object": "list", "data": [model]}

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something holds; looked at whenever a request or a chunk has passed."""
        while not is_so():
            self._progress.clear()
            await self._progress.wait()

    async def __aenter__(self) -> LlmServer:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self.open_connections += 1
        try:
            await self._serve(reader, writer, self.connections)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:  # only `__aexit__` cancels; start_server would log it
            pass
        finally:
            self.open_connections -= 1
            self._progress.set()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        while (seen := await _read_request(reader, connection)) is not None:
            self.requests.append(seen)
            self._progress.set()
            answering = asyncio.ensure_future(self._answer(seen, writer))
            watching = asyncio.ensure_future(reader.read(1))
            try:
                await asyncio.wait({answering, watching}, return_when="FIRST_COMPLETED")
                if not answering.done():
                    seen.disconnected_at_s = time.monotonic()
                    seen.disconnected.set()
                    return
                if not answering.result() or watching.done():
                    return
            finally:
                for task in (answering, watching):
                    task.cancel()
                await asyncio.wait({answering, watching})

    async def _answer(self, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return False to close the connection."""
        if not self.asks_for_a_reply(seen):
            return await self._answer_other(seen, writer)
        answer = self.by_model.get(seen.body.get("model", "")) or (
            self.script.popleft() if self.script else self.default
        )
        answer = self.complaint(seen) or answer
        if answer.hang:
            await asyncio.Event().wait()
        if answer.status != 200:
            error = self.error_body(answer)
            return await _respond(seen, writer, answer.status, error, answer.headers)
        if self.reply_path == LlmServer.reply_path and not seen.body.get("stream"):
            return await _respond(seen, writer, 200, completion(seen.body, answer))
        await asyncio.sleep(answer.first_token_ms / 1000)
        if answer.replay is not None:
            return await self._replay(seen, writer, answer.replay)
        _head(writer, 200, "text/event-stream", (("Transfer-Encoding", "chunked"), *answer.headers))
        async for data in self._events(seen, answer):
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
            self._progress.set()
        if answer.close_after is not None:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        seen.finished.set()
        return True

    async def _replay(self, seen: Seen, writer: asyncio.StreamWriter, body: str) -> bool:
        """Send a body as it was written down; False closes the connection."""
        start = body.lstrip()
        json_body, page = start.startswith(("{", "[")), start.startswith("<")
        kind = "application/json" if json_body else "text/html" if page else "text/event-stream"
        _head(writer, 200, kind, (("Transfer-Encoding", "chunked"),))
        for step in re.split(r"^(\{\{.*\}\})\n?", body, flags=re.MULTILINE):
            command = step.strip("{}").split() if step.startswith("{{") else []
            match command:
                case ["pause", seconds]:
                    await asyncio.sleep(float(seconds))
                case ["drop"]:
                    writer.transport.abort()
                    return False
                case ["hold"]:
                    await asyncio.Event().wait()
                case _ if step:
                    data = step.encode()
                    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                    await writer.drain()
                    seen.chunks_sent += 1
                    self._progress.set()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        seen.finished.set()
        return True

    async def _answer_other(self, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if not seen.path.partition("?")[0].endswith("/models"):
            return await _respond(seen, writer, 404, {"error": {"message": "no such path"}})
        refusal = self.default if self.default.status != 200 else self.complaint(seen)
        if refusal:
            return await _respond(seen, writer, refusal.status, self.error_body(refusal))
        return await _respond(seen, writer, 200, self.models())

    async def _events(self, seen: Seen, answer: Answer) -> AsyncIterator[bytes]:
        """Yield server-sent events with the scripted faults."""
        if answer.raw is not None:
            yield answer.raw
            return
        chunks = answer.chunks
        if chunks is None:
            chunks = tuple(self.events_of(seen.body, answer))
        for number, item in enumerate(chunks):
            if number == answer.stall_after:
                await asyncio.Event().wait()
            if number == answer.close_after:
                return
            if number == answer.error_after:
                yield self.encoded(self.error_event(answer))
                return
            if number:
                await asyncio.sleep(answer.token_ms / 1000)
            seen.chunks_sent += 1
            yield self.encoded(item)
        if self.end:
            yield self.end


def reply_chunks(body: dict[str, Any], answer: Answer) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a well-formed answer: role, text or tool calls, finish, usage."""
    text = answer.text if answer.text is not None else ("" if answer.calls else echo(body))
    yield chunk({"role": "assistant", "content": ""})
    pieces = re.findall(r"\s*\S+", text)
    for piece in pieces:
        yield chunk({"content": piece})
    if answer.refusal:
        yield chunk({"refusal": answer.refusal})
    for index, call in enumerate(answer.calls):
        head = {"index": index, "id": call.id, "type": "function"}
        yield chunk({"tool_calls": [head | {"function": {"name": call.name, "arguments": ""}}]})
        for start in range(0, len(call.arguments), 5):
            part = {"arguments": call.arguments[start : start + 5]}
            yield chunk({"tool_calls": [{"index": index, "function": part}]})
    yield chunk({}, answer.finish_reason or ("tool_calls" if answer.calls else "stop"))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield chunk(None) | {"usage": _usage(body, len(pieces))}


def stream_of(*items: dict[str, Any] | str, end: str = "data: [DONE]\n\n") -> str:
    """Write chunks down for `Answer.replay`; texts stand as they are."""
    return "".join(i if isinstance(i, str) else _event(i).decode() for i in items) + end


def text_stream(text: str, size: int = 4, **more: Any) -> str:
    """Write down a stream of one text, cut every `size` characters."""
    pieces = [text[n : n + size] for n in range(0, len(text), size)]
    return stream_of(*(chunk({"content": piece}) for piece in pieces), chunk({}, "stop"), **more)


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None) -> dict[str, Any]:
    """One `chat.completion.chunk`; without choices when there is no delta."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "test",
        "choices": [] if delta is None else [choice],
    }


def completion(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """The same answer unstreamed."""
    text = answer.text if answer.text is not None else echo(body)
    message = {"role": "assistant", "content": text, "refusal": answer.refusal or None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "test",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": _usage(body, len(text.split())),
    }


def echo(body: dict[str, Any]) -> str:
    """Answer like an agent who only listens."""
    messages = body.get("messages") or []
    said = next((m["content"] for m in reversed(messages) if m.get("role") == "user"), "")
    if not said:
        return "Hello, this is the test agent. How can I help you today?"
    return f"I understand that you said: {said}. Is there anything else that I can do for you?"


def _usage(body: dict[str, Any], output_tokens: int) -> dict[str, int]:
    read = len(json.dumps(body.get("messages"))) // 4
    total = read + output_tokens
    return {"prompt_tokens": read, "completion_tokens": output_tokens, "total_tokens": total}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(data).encode()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Seen | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, path, headers, json.loads(content) if content else {}, connection)


async def _respond(
    seen: Seen,
    writer: asyncio.StreamWriter,
    status: int,
    body: dict[str, Any],
    headers: tuple[tuple[str, str], ...] = (),
) -> bool:
    content = json.dumps(body).encode()
    _head(writer, status, "application/json", (("Content-Length", str(len(content))), *headers))
    writer.write(content)
    await writer.drain()
    seen.finished.set()
    return True


def _head(
    writer: asyncio.StreamWriter, status: int, kind: str, headers: tuple[tuple[str, str], ...]
) -> None:
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {kind}"]
    lines += [f"{name}: {value}" for name, value in headers]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())


async def _run(arguments: argparse.Namespace) -> None:
    answer = Answer(
        text=arguments.text,
        first_token_ms=arguments.first_token_ms,
        token_ms=arguments.token_ms,
    )
    async with LlmServer(default=answer, port=arguments.port) as server:
        print(server.base_url, flush=True)  # noqa: T201  # the caller waits for this line
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000, help="0 = any; the URL is printed")
    parser.add_argument("--first-token-ms", type=float, default=300)
    parser.add_argument("--token-ms", type=float, default=30)
    parser.add_argument("--text", help="say this instead of echoing")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
