"""HttpModel: a language model behind one streamed HTTP request per reply; a vendor is its messages.

What all have in common: one pool of connections, limits of time for the first word and between
words, tries before the first word, settings that a server refuses, the vendor's errors in ours.
Leaving the generator (or being cancelled in it) closes the response, so the server sees the
connection go and stops generating.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import cache
from typing import Annotated, Any, Protocol

import httpx2
import structlog
from pydantic import Field, SecretStr

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.contracts import (
    AskedAgain,
    ProviderSettings,
    ReplyEvent,
    ReplyRequest,
    Thinking,
)
from gateway.providers.event_stream import EndlessLineError, EventReader, lines_of, parsed
from gateway.providers.failures import (
    kind_of,
    kind_of_body,
    strange_body,
    words_of,
    words_of_status,
)
from gateway.providers.kit.model_requests import Patience, RefusalError, Refused, address, encoded
from gateway.providers.reply_parts import ReplyParts
from gateway.providers.stream_ends import StreamEnds

RETRY_MIN_S = 0.15
RETRY_MAX_S = 2.0
IDLE_CONNECTION_S = 90.0
"""Time for which an idle connection is kept: a caller's turn often exceeds httpx's 5 s."""
END_GRACE_S = 0.5
"""Wait for more after a finish reason that comes with the first text: it may be one of many,"""
SHORT_GRACE_S = 0.2
"""... and the wait at a server that was seen to hold the connection open."""
_MOST_ERROR_BYTES = 65_536

log = structlog.get_logger(__name__)


@cache
def _authorities() -> ssl.SSLContext:
    """Return what servers are trusted by; read once, which takes longer than all else here."""
    return httpx2.create_ssl_context()


class HttpModelSettings(ProviderSettings):
    """What the settings of all these have."""

    model: Annotated[str, Field(min_length=1)]
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
    api_key: SecretStr = SecretStr("")
    """Empty for servers that ask for none."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Of one answer, thoughts included."""
    timeout_s: Annotated[float, Field(gt=0)] = 3.0
    """To connect."""
    first_token_timeout_s: Annotated[float, Field(gt=0)] = 6.0
    """From sending the request to its first text or tool call; each try has as long."""
    stall_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """Between two chunks after that.  A model that thinks is alive: between two of its thoughts the
    longer of both."""
    max_retries: Annotated[int, Field(ge=0, le=10)] = 2
    """After the first try; only before the first word, only where trying again may help."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Merged into every request, for what only this server knows."""


class ModelProtocol(Protocol):
    """A vendor's messages, without I/O."""

    provider: str
    """Named in errors."""
    optional: Sequence[str]
    """Keys of a request that it can do without, when the server refuses them."""

    def reply_path(self) -> str:
        """Return where a reply is asked for, below `base_url`."""

    def check_path(self) -> str:
        """Return what proves, without cost, that the server is there and takes the key."""

    def headers(self) -> dict[str, str]:
        """Return the key and whatever else each request has."""

    def body(self, request: ReplyRequest) -> dict[str, Any]:
        """Return a request; what is not set is not sent."""

    def reply(self, request: ReplyRequest) -> ReplyParts:
        """Return the reader of its answer."""

    def error_in(self, value: object) -> dict[str, object] | None:
        """Find the error in a JSON value of an answer; None when there is none."""


class HttpModel:
    """Satisfies `contracts.LanguageModel`."""

    known_texts: Sequence[str] = ()
    counts_tokens = True
    waits_for_tools = False

    def __init__(self, settings: HttpModelSettings, protocol: ModelProtocol) -> None:
        self._settings = settings
        self._protocol = protocol
        self._refused = Refused(protocol.optional)
        self._grace_s = END_GRACE_S
        self._ends = StreamEnds()
        self._url, self._where = address(settings.base_url)
        timeout = httpx2.Timeout(
            connect=settings.timeout_s,
            read=max(settings.first_token_timeout_s, settings.stall_timeout_s),
            write=settings.timeout_s,
            pool=settings.timeout_s,
        )
        limits = httpx2.Limits(keepalive_expiry=IDLE_CONNECTION_S)
        # A proxy that compresses an event stream keeps events back.
        headers = {"Accept-Encoding": "identity", "User-Agent": "voice-gateway"}
        self._client = httpx2.AsyncClient(
            timeout=timeout, limits=limits, headers=headers, verify=_authorities()
        )

    async def warm_up(self) -> None:
        """Open a connection and see whether the key is taken; costs no tokens.

        Raises:
            ProviderUnavailable: no server answers at `base_url`, or only with a server error.
            ProviderTimeout: no answer in time.
            ProviderRejected: the key is refused.
        """
        try:
            async with AsyncExitStack() as stack:
                until = asyncio.get_running_loop().time() + self._settings.first_token_timeout_s
                path = self._protocol.check_path()
                response = await self._sent("GET", path, None, until, stack)
                async with asyncio.timeout_at(until):
                    await response.aread()  # so that the connection can be used again
        except TimeoutError as exc:
            raise self._error(ProviderTimeout, "no answer in time") from exc
        except RefusalError as exc:
            # Not every server lists its models: a 404 proves that a server is there.
            error = self._translated(exc)
            is_wrong_key = exc.status_code in {401, 403} or "api_key" in exc.named
            if is_wrong_key or exc.status_code >= 500:
                raise error from exc
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise self._translated(exc) from exc

    async def reply(self, request: ReplyRequest) -> AsyncIterator[ReplyEvent]:
        """Stream one reply (see `contracts.LanguageModel`)."""
        tries, settings = 0, self._settings
        while True:
            has_begun = False
            patience = Patience(settings.first_token_timeout_s, settings.stall_timeout_s)
            try:
                async with aclosing(self._attempt(request, patience)) as events:
                    async for event in events:
                        has_begun = has_begun or not isinstance(event, Thinking)
                        yield event
            except ProviderError as error:
                tries += 1
                if has_begun:
                    raise
                delay_s = self._retry_delay_s(error, tries)
                if delay_s is None:
                    raise
                log.info("language_model_asked_again", problem=str(error), tries=tries)
                again = AskedAgain(was_taken=patience.is_taken, has_failed=delay_s > 0)
            else:
                return
            await asyncio.sleep(delay_s)
            yield again

    async def close(self) -> None:
        """Close the connections.  Idempotent."""
        await self._ends.close()
        await self._client.aclose()

    async def _attempt(
        self, request: ReplyRequest, patience: Patience
    ) -> AsyncGenerator[ReplyEvent, None]:
        reply = self._protocol.reply(request)
        reader = EventReader()
        try:
            async with AsyncExitStack() as stack:
                body = self._refused.left_of(
                    {**self._protocol.body(request), **self._settings.extra_body}
                )
                path = self._protocol.reply_path()
                response = await self._sent("POST", path, body, patience.until, stack)
                patience.is_taken = True
                chunks = await stack.enter_async_context(aclosing(response.aiter_bytes()))
                lines = await stack.enter_async_context(aclosing(lines_of(chunks)))
                async with aclosing(self._events(lines, reader, reply, patience)) as events:
                    async for event in events:
                        yield event
                last = list(reply.finish())
                end = self._ends.read(stack.pop_all(), lines, reader, reply, request.late_usage)
            for event in last:
                yield event
            if usage := await end.soon():
                yield usage
        except TimeoutError as exc:
            patience.is_taken = True  # it may well be at work
            problem = patience.problem(has_content=reply.has_content)
            raise self._error(ProviderTimeout, problem) from exc
        except (RefusalError, EndlessLineError, httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise self._translated(exc) from exc

    async def _sent(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        until: float,
        stack: AsyncExitStack,
    ) -> httpx2.Response:
        """Send a request; return the answer, whose body is not read.  `stack` closes it.

        Raises:
            TimeoutError: no answer until then.
            RefusalError: its status is not 200.
            httpx2.HTTPError: the connection failed.
        """
        content = encoded(body) if body is not None else None
        headers = {**self._protocol.headers(), **self._settings.headers}
        if content is not None:
            headers.setdefault("Content-Type", "application/json")
        async with asyncio.timeout_at(until):
            made = self._client.build_request(
                method, self._url(path), content=content, headers=headers
            )
            response = await self._client.send(made, stream=True)
            stack.push_async_callback(response.aclose)
            if response.status_code == 200:
                return response
            raw = b""
            async for chunk in response.aiter_bytes():
                raw += chunk
                if len(raw) > _MOST_ERROR_BYTES:
                    break
        text = raw.decode("utf-8", "replace")
        error = self._protocol.error_in(parsed(text)) or {}
        raise RefusalError(response.status_code, response.headers, text, error)

    async def _events(
        self,
        lines: AsyncGenerator[str, None],
        reader: EventReader,
        reply: ReplyParts,
        patience: Patience,
    ) -> AsyncGenerator[ReplyEvent, None]:
        """Yield what comes until the server says that this was all, whatever it sends then."""
        while not (reader.is_done or reply.is_finished):
            line = await self._next_line(lines, reply, patience)
            values = reader.finish() if line is None else reader.feed(line)
            for value in values:
                for event in self._taken(value, reply):
                    if isinstance(event, Thinking):
                        patience.has_thought()
                    yield event
            if reply.has_content:
                patience.has_content()
            if line is None:
                break
        if not reply.has_begun and reader.body.strip():
            kind, problem = strange_body(reader.body)
            raise self._error(kind, problem)

    async def _next_line(
        self, lines: AsyncGenerator[str, None], reply: ReplyParts, patience: Patience
    ) -> str | None:
        """Wait for a line; None at the end, which any finish reason is when nothing follows it.

        Raises:
            TimeoutError: nothing came for too long.
        """
        until = patience.until
        if reply.may_be_finished:
            until = asyncio.get_running_loop().time() + self._grace_s
        try:
            async with asyncio.timeout_at(until):
                return await anext(lines, None)
        except (TimeoutError, httpx2.HTTPError) as error:
            if not reply.may_be_finished:
                raise
            if isinstance(error, TimeoutError):
                self._grace_s = SHORT_GRACE_S
            return None

    def _taken(self, value: object, reply: ReplyParts) -> Iterator[ReplyEvent]:
        error = self._protocol.error_in(value)
        if error is not None:
            raise self._error(kind_of_body(error), words_of(error))
        yield from reply.feed(value)

    def _retry_delay_s(self, error: ProviderError, tries: int) -> float | None:
        """Return how long to wait before the next try, None when there must be none."""
        cause = error.__cause__
        if isinstance(cause, RefusalError) and (setting := self._refused.learn(cause)):
            log.warning("setting_refused", provider=error.provider, setting=setting)
            return 0.0
        if not error.retryable or tries > self._settings.max_retries:
            return None
        jitter = random.uniform(0.75, 1.25)  # noqa: S311  # no secret
        delay_s: float = min(RETRY_MAX_S, RETRY_MIN_S * 2 ** (tries - 1)) * jitter
        asked_s = cause.retry_after_s if isinstance(cause, RefusalError) else 0.0
        if asked_s > self._settings.first_token_timeout_s:
            return None  # no caller waits that long
        return max(delay_s, asked_s)

    def _translated(self, error: Exception) -> ProviderError:
        """Errors of HTTP to ours: the only place."""
        match error:
            case RefusalError(status_code=status, error=said):
                message = str(said.get("message") or error.body)
                kind = kind_of(status, said.get("code"), said.get("type"), message)
                return self._error(kind, words_of_status(status, said, error.body))
            case httpx2.TimeoutException():
                return self._error(ProviderTimeout, "no answer in time")
            case httpx2.HTTPError():
                return self._error(ProviderUnavailable, f"connection failed ({error})")
        return self._error(ProviderProtocolError, f"not the stream that was asked for ({error})")

    def _error(self, kind: type[ProviderError], problem: str) -> ProviderError:
        """One short line without the key, which some servers repeat in their errors."""
        if key := self._settings.api_key.get_secret_value():
            problem = problem.replace(key, "***")
        short = " ".join(problem.split())[:300]
        return kind(self._protocol.provider, f"{self._where}: {short}")
