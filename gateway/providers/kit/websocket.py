"""One WebSocket to a vendor: connect, keep alive, send, receive, end.

Errors are those of `gateway.errors`, and no secret is in them.  Leaving the block by an exception,
which is how a call cancels, cuts the connection at once; leaving it normally says goodbye.
"""

from __future__ import annotations

import asyncio
import binascii
import json
import logging
import random
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)
from websockets.protocol import State
from websockets.typing import Subprotocol

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.kit import rules
from gateway.providers.kit.endpoint import Endpoint, plain
from gateway.providers.kit.near import near_address
from gateway.providers.kit.tls import client_context

_GOODBYE_S = 0.5
_PING_S = 10.0
_SHOWN_CHARACTERS = 80
_TOO_BIG = 1009
"""Close code of RFC 6455."""
_LOG = logging.getLogger("gateway.websocket")
_LOG.setLevel(logging.WARNING)  # below that the library writes headers, and so keys, to the log


class _Connect(connect):
    """Follows no redirects: they could lead keys, or a call's audio, to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Socket:
    """An open connection.  Loop thread only."""

    def __init__(self, endpoint: Endpoint, connection: ClientConnection) -> None:
        self._endpoint = endpoint
        self._connection = connection
        self._unsent: deque[str | bytes] = deque()
        self._wake = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._sent_s = 0.0
        """When the latest message was sent, by the clock of the loop."""
        self._failure: ProviderError | None = None
        self._sender = asyncio.get_running_loop().create_task(self._send_all())

    @property
    def is_open(self) -> bool:
        """False once either side has begun to close it, or the network has lost it."""
        return self._connection.state is State.OPEN

    def send_json(self, message: Mapping[str, object]) -> None:
        """Queue an object as a text message of JSON.  Raises as `send`."""
        self.send(json.dumps(message, ensure_ascii=False, separators=(",", ":")))

    @property
    def close_code(self) -> int | None:
        """With which the connection was closed; None while it is open."""
        return self._connection.close_code

    def send(self, message: str | bytes) -> None:
        """Queue a message, text or binary; never waits.

        Raises:
            ProviderUnavailable: the vendor takes nothing any more, or too much waits to be sent.
        """
        if self._sender.done():
            raise self._closed()
        if len(self._unsent) >= self._endpoint.most_unsent:
            problem = f"{len(self._unsent)} messages wait to be sent: the server does not read"
            raise self._endpoint.error(ProviderUnavailable, problem)
        if not self._unsent and self._writes(message):
            return
        self._unsent.append(message)
        self._is_idle.clear()
        self._wake.set()

    def _writes(self, message: str | bytes) -> bool:
        """Write a message where no other waits, as is usual: a task's turn costs more than that."""
        connection = self._connection
        if not self.is_open or connection.transport.get_write_buffer_size():
            return False
        if isinstance(message, str):
            connection.protocol.send_text(message.encode())
        else:
            connection.protocol.send_binary(message)
        connection.send_data()
        self._sent_s = asyncio.get_running_loop().time()
        return True

    def post(self, message: str | bytes) -> None:
        """Queue a message as `send` does; a failure cuts the connection and `receive` raises it."""
        try:
            self.send(message)
        except ProviderError as error:
            self._failure = self._failure or error
            self._connection.transport.abort()

    async def receive(self, within_s: float | None = None) -> str | bytes:
        """Return the next message.

        Args:
            within_s: how long the vendor may be silent; None = as long as it answers pings.

        Raises:
            ProviderTimeout: it was silent for too long.
            ProviderError: the connection has ended, normally or not.
        """
        try:
            async with asyncio.timeout(within_s):
                message: str | bytes = await self._connection.recv()
                return message
        except TimeoutError as error:
            problem = f"nothing came from the server within {within_s:g} s"
            raise self._endpoint.error(ProviderTimeout, problem) from error
        except ConnectionClosed as error:
            raise (self._failure or self._closed()) from self._cause(error)

    def parsed(self, message: str | bytes) -> dict[str, object]:
        """Read a message, text or binary, as a JSON object.  Raises ProviderProtocolError."""
        try:
            value = json.loads(message)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self._unexpected("a JSON object", message)
        return value

    def decoded(self, value: object) -> bytes:
        """Read the base64 text in a field of a message.  Raises ProviderProtocolError."""
        if isinstance(value, str) and len(value) % 4 == 0:
            try:
                return binascii.a2b_base64(value, strict_mode=True)
            except ValueError:
                pass  # neither ASCII nor base64
        raise self._unexpected("base64", value)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages until the vendor closes normally (1000).  Raises ProviderError."""
        while True:
            try:
                message = await self.receive()
            except ProviderError:
                if self._connection.close_code == 1000:
                    return
                raise
            yield message

    async def closed(self) -> None:
        """Wait until the vendor has closed the connection, or the network has lost it."""
        await self._connection.wait_closed()

    async def end(self, *, at_once: bool) -> None:
        """Close: with what is still to be sent and a goodbye, or by cutting the connection."""
        try:
            if not at_once:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GOODBYE_S):
                        await self._is_idle.wait()
                        await self._connection.close()
        finally:
            self._sender.cancel()
            self._connection.transport.abort()
            await asyncio.wait({self._sender})
            await self._connection.wait_closed()

    async def _send_all(self) -> None:
        keep_alive, time = self._endpoint.keep_alive, asyncio.get_running_loop().time
        self._sent_s = time()
        try:
            while True:
                due_s = self._sent_s + keep_alive.every_s if keep_alive else None
                try:
                    async with asyncio.timeout_at(due_s):
                        await self._wake.wait()
                except TimeoutError:
                    if keep_alive and time() >= self._sent_s + keep_alive.every_s:
                        await self._connection.send(keep_alive.message)
                        self._sent_s = time()
                self._wake.clear()
                while self._unsent:
                    await self._connection.send(self._unsent[0])
                    self._unsent.popleft()
                    self._sent_s = time()
                self._is_idle.set()
        except ConnectionClosed:
            return  # `receive` and the next `send` report it
        finally:
            self._is_idle.set()

    def _unexpected(self, expected: str, found: object) -> ProviderError:
        text, what = str(found), type(found).__name__
        if isinstance(found, bytes):
            text, what = found.decode(errors="replace"), f"{len(found)} bytes"
        elif isinstance(found, str):
            what = f"{len(found)} characters"
        shown = self._endpoint.hidden(text)[:_SHOWN_CHARACTERS]
        problem = f"{expected} was expected, {what} came: {shown!r}"
        return self._endpoint.error(ProviderProtocolError, problem)

    def _closed(self) -> ProviderError:
        code = self._connection.close_code or 1006
        reason = self._connection.close_reason or ""
        own = getattr(self._connection, "protocol", None)
        if own is not None and own.close_sent is not None and not own.close_rcvd_then_sent:
            code, reason = own.close_sent.code, own.close_sent.reason
            if code == 1011:  # ours: no answer to a ping
                return self._endpoint.error(ProviderTimeout, f"the server is silent: {reason}")
            if code == _TOO_BIG:
                most = self._endpoint.most_message_bytes
                problem = f"the server has sent a message of more than {most} bytes"
                return self._endpoint.error(ProviderProtocolError, problem)
        kind = rules.kind_of_close(code, self._endpoint.close_codes, reason)
        return self._endpoint.error(kind, rules.words_of_close(code, reason))

    def _cause(self, error: Exception) -> Exception | None:
        text = str(error)
        return error if rules.without_secrets(text, self._endpoint.secrets) == text else None


@asynccontextmanager
async def connected(endpoint: Endpoint) -> AsyncGenerator[Socket, None]:
    """Connect, trying again where that can help, and end the connection with the block.

    Raises:
        ProviderError: no connection; or what `Socket` raises inside.
    """
    link = await opened(endpoint)
    try:
        yield link
    except BaseException:
        await link.end(at_once=True)
        raise
    else:
        await link.end(at_once=False)


async def opened(endpoint: Endpoint) -> Socket:
    """Connect, trying again where that can help; the caller must `end` the connection.

    Raises:
        ProviderError: no connection.
    """
    for failures in range(1, endpoint.attempts + 1):
        try:
            return Socket(endpoint, await _attempt(endpoint))
        except _RefusedError as refused:
            wait_s = rules.wait_s(failures, random.random(), refused.retry_after_s)  # noqa: S311
            last = failures == endpoint.attempts or wait_s > rules.LONGEST_WAIT_S
            if last or not refused.error.retryable:
                raise refused.error from refused.cause
        await asyncio.sleep(wait_s)
    raise AssertionError  # at least one attempt is made


class _RefusedError(Exception):
    def __init__(
        self, error: ProviderError, cause: Exception | None, retry_after_s: float = 0.0
    ) -> None:
        self.error = error
        self.cause = cause
        self.retry_after_s = error.retry_after_s = retry_after_s
        super().__init__()


async def _attempt(endpoint: Endpoint) -> ClientConnection:
    headers = {name: plain(value) for name, value in endpoint.headers.items()}
    url = endpoint.full_url()
    try:
        where = await _plain_address(endpoint) or await _tls(endpoint)
        return await _Connect(
            url,
            subprotocols=[Subprotocol(name) for name in endpoint.subprotocols] or None,
            compression=None,  # audio does not shrink
            additional_headers=headers,
            proxy=None if "host" in where else True,
            open_timeout=endpoint.connect_timeout_s,
            ping_interval=_PING_S,
            ping_timeout=_PING_S,
            close_timeout=_GOODBYE_S,  # `Socket.end` is bounded by it as well
            max_size=endpoint.most_message_bytes,
            logger=_LOG,
            **where,
        )
    except InvalidStatus as error:
        response = error.response
        body = endpoint.hidden(bytes(response.body or b"").decode(errors="replace"))
        problem = rules.words_of_status(response.status_code, body)
        found = endpoint.error(rules.kind_of_status(response.status_code, body), problem)
        again_s = rules.retry_after_s(response.headers.get("Retry-After"))
        raise _RefusedError(found, None, again_s) from None
    except InvalidURI:
        problem = "the address is not a WebSocket URL (wss://host/path)"
        raise _RefusedError(endpoint.error(ProviderRejected, problem), None) from None
    except TimeoutError as error:
        problem = f"no connection within {endpoint.connect_timeout_s:g} s"
        raise _RefusedError(endpoint.error(ProviderTimeout, problem), error) from None
    except InvalidHandshake as error:
        problem = f"what answers is not a WebSocket server: {error}: is base_url right?"
        raise _RefusedError(endpoint.error(ProviderProtocolError, problem), None) from None
    except ssl.SSLCertVerificationError as error:
        problem = f"the certificate is not trusted: {error.verify_message}"
        raise _RefusedError(endpoint.error(ProviderRejected, problem), error) from None
    except OSError as error:
        problem = f"no connection: {error.strerror or error}"
        raise _RefusedError(endpoint.error(ProviderUnavailable, problem), error) from None


async def _plain_address(endpoint: Endpoint) -> dict[str, Any]:
    """Return where to connect without TLS; nothing for a URL with it."""
    url = urlsplit(endpoint.url)
    if url.scheme != "ws" or not url.hostname:
        return {}
    port = url.port or 80
    address = await near_address(url.hostname, port)
    if not address:
        problem = f"ws:// to {url.hostname} would send keys and audio unprotected: use wss://"
        raise _RefusedError(endpoint.error(ProviderRejected, problem), None)
    return {"host": address, "port": port}


async def _tls(endpoint: Endpoint) -> dict[str, Any]:
    """Return the `ssl` argument with the trusted authorities; empty for a URL without TLS."""
    if urlsplit(endpoint.url).scheme != "wss":
        return {}
    try:
        return {"ssl": await client_context(endpoint.tls_ca_file)}
    except OSError as error:
        problem = f"tls_ca_file {endpoint.tls_ca_file}: {error.strerror or error}"
        raise _RefusedError(endpoint.error(ProviderRejected, problem), error) from None
