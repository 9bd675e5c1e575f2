"""Any server that speaks OpenAI chat completions, through the official SDK, streamed.

Leaving the generator (or being cancelled in it) closes the HTTP response, so the server sees the
connection go and stops generating.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import httpx2
import openai
import structlog
from pydantic import Field, SecretStr

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.chat_completions import (
    EventReader,
    StreamedReply,
    ThinkingHabit,
    error_in,
)
from gateway.providers.chat_history import request_messages, request_tools
from gateway.providers.contracts import (
    AskedAgain,
    LanguageModel,
    ProviderSettings,
    ReplyEvent,
    ReplyRequest,
    Thinking,
)
from gateway.providers.failures import kind_of, kind_of_body, strange_body, words_of
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.stream_ends import StreamEnds

SUMMARY = "Any OpenAI-compatible chat completions endpoint (base_url), streamed."

RETRY_MIN_S = 0.15
RETRY_MAX_S = 2.0
IDLE_CONNECTION_S = 90.0
"""Time for which an idle connection is kept: a caller's turn often exceeds httpx's 5 s."""
END_GRACE_S = 0.5
"""Wait for more after a finish reason that comes with the first text: it may be one of many,"""
SHORT_GRACE_S = 0.2
"""... and the wait at a server that was seen to hold the connection open."""

log = structlog.get_logger(__name__)


class Settings(ProviderSettings):
    """`llm = { provider = "openai", ... }`."""

    model: Annotated[str, Field(min_length=1)]
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = "https://api.openai.com/v1"
    api_key: SecretStr = SecretStr("")
    """Empty for servers that ask for none."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Sent as `max_completion_tokens` to OpenAI itself, as the older `max_tokens` elsewhere."""
    timeout_s: Annotated[float, Field(gt=0)] = 3.0
    """To connect."""
    first_token_timeout_s: Annotated[float, Field(gt=0)] = 6.0
    """From sending the request to its first text or tool call; each try has as long."""
    stall_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """Between two chunks after that.  A model that thinks is alive: between two of its thoughts the
    longer of both."""
    max_retries: Annotated[int, Field(ge=0, le=10)] = 2
    """After the first try; only before the first word, only where trying again may help."""
    stream_usage: bool = True
    """Ask for token counts; given up by itself when the server refuses the option."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Merged into every request, for what only this server knows."""


class OpenAi:
    """Satisfies `contracts.LanguageModel`."""

    known_texts: Sequence[str] = ()
    counts_tokens = True
    waits_for_tools = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stream_usage = settings.stream_usage
        self._habit = ThinkingHabit()
        self._grace_s = END_GRACE_S
        self._ends = StreamEnds()
        timeout = httpx2.Timeout(
            connect=settings.timeout_s,
            read=max(settings.first_token_timeout_s, settings.stall_timeout_s),
            write=settings.timeout_s,
            pool=settings.timeout_s,
        )
        limits = httpx2.Limits(keepalive_expiry=IDLE_CONNECTION_S)
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            # The SDK would look for a key in the environment, and that one is another server's.
            api_key=settings.api_key.get_secret_value() or "none",
            default_headers=settings.headers,
            max_retries=0,  # ours know when to stop: a caller is waiting
            http_client=openai.DefaultAsyncHttpx2Client(timeout=timeout, limits=limits),
        )

    async def warm_up(self) -> None:
        """Open a connection and see whether the key is taken; costs no tokens.

        Raises:
            ProviderUnavailable: no server answers at `base_url`, or only with a server error.
            ProviderTimeout: no answer in time.
            ProviderRejected: the key is refused.
        """
        try:
            async with asyncio.timeout(self._settings.first_token_timeout_s):
                await self._client.get("/models", cast_to=httpx2.Response)
        except TimeoutError as exc:
            raise ProviderTimeout("openai", f"no answer from {self._where}") from exc
        except openai.APIStatusError as exc:
            # Not every server lists its models: a 404 proves that a server is there.
            if exc.status_code in {401, 403} or exc.status_code >= 500:
                raise self._translated(exc) from exc
        except (openai.OpenAIError, ValueError) as exc:
            raise self._translated(exc) from exc

    async def reply(self, request: ReplyRequest) -> AsyncIterator[ReplyEvent]:
        """Stream one reply (see `contracts.LanguageModel`)."""
        tries = 0
        while True:
            has_begun = False
            try:
                async with aclosing(self._attempt(request)) as events:
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
                refused = (openai.APIStatusError, openai.APIConnectionError)
                again = AskedAgain(was_taken=not isinstance(error.__cause__, refused))
            else:
                return
            await asyncio.sleep(delay_s)
            yield again

    async def close(self) -> None:
        """Close the connections.  Idempotent."""
        await self._ends.close()
        await self._client.close()

    async def _attempt(self, request: ReplyRequest) -> AsyncGenerator[ReplyEvent, None]:
        reply = StreamedReply("openai", [tool.name for tool in request.tools], self._habit)
        patience = _Patience(self._settings)
        reader = EventReader()
        try:
            async with AsyncExitStack() as stack:
                lines = await self._lines(request, patience, stack)
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
            raise self._timed_out(reply, patience) from exc
        except (openai.OpenAIError, httpx2.HTTPError) as exc:
            raise self._translated(exc) from exc

    async def _lines(
        self, request: ReplyRequest, patience: _Patience, stack: AsyncExitStack
    ) -> AsyncGenerator[str, None]:
        """Send a request; return the lines of the answer, whatever it is.  `stack` closes it."""
        create = self._client.chat.completions.with_streaming_response.create
        async with asyncio.timeout_at(patience.until):
            response = await stack.enter_async_context(create(**self._body(request)))
        lines = cast("AsyncGenerator[str, None]", response.iter_lines())
        return await stack.enter_async_context(aclosing(lines))

    async def _events(
        self,
        lines: AsyncGenerator[str, None],
        reader: EventReader,
        reply: StreamedReply,
        patience: _Patience,
    ) -> AsyncGenerator[ReplyEvent, None]:
        """Yield what comes until the server says that this was all, whatever it sends then."""
        while not (reader.is_done or reply.is_finished):
            line = await self._next_line(lines, reply, patience)
            values = reader.finish() if line is None else reader.feed(line)
            for value in values:
                for event in self._taken(value, reply):
                    patience.saw(event)
                    yield event
            if reply.has_content:
                patience.has_content()
            if line is None:
                break
        if not reply.has_choice and reader.body.strip():
            kind, problem = strange_body(self._harmless(reader.body))
            raise kind("openai", f"{self._where}: {problem}")

    async def _next_line(
        self, lines: AsyncGenerator[str, None], reply: StreamedReply, patience: _Patience
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

    def _taken(self, value: object, reply: StreamedReply) -> Iterator[ReplyEvent]:
        error = error_in(value)
        if error is not None:
            text = self._harmless(words_of(error))
            raise kind_of_body(error)("openai", f"{self._where}: {text}")
        yield from reply.feed(value)

    def _body(self, request: ReplyRequest) -> dict[str, Any]:
        """Keyword arguments of one request; what is not set is not sent."""
        settings = self._settings
        extra = dict(settings.extra_body)
        if settings.max_tokens is not None:
            is_openai = urlsplit(settings.base_url).hostname == "api.openai.com"
            extra.setdefault(
                "max_completion_tokens" if is_openai else "max_tokens", settings.max_tokens
            )
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": request_messages(request.instructions, request.messages),
            "stream": True,
            "extra_body": extra or None,
        }
        if request.tools:
            body["tools"] = request_tools(request.tools)
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if self._stream_usage:
            body["stream_options"] = {"include_usage": True}
        return body

    def _retry_delay_s(self, error: ProviderError, tries: int) -> float | None:
        """Return how long to wait before the next try, None when there must be none."""
        cause = error.__cause__
        if self._stream_usage and _refuses_stream_options(cause):
            self._stream_usage = False
            return 0.0
        if not error.retryable or tries > self._settings.max_retries:
            return None
        jitter = random.uniform(0.75, 1.25)  # noqa: S311  # no secret
        delay_s: float = min(RETRY_MAX_S, RETRY_MIN_S * 2 ** (tries - 1)) * jitter
        asked_s = _retry_after_s(cause)
        if asked_s > self._settings.first_token_timeout_s:
            return None  # no caller waits that long
        return max(delay_s, asked_s)

    @property
    def _where(self) -> str:
        """Return the server for messages, without credentials or query."""
        parts = urlsplit(self._settings.base_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def _timed_out(self, reply: StreamedReply, patience: _Patience) -> ProviderTimeout:
        settings = self._settings
        if reply.has_content:
            problem = f"stalled in mid-answer for {settings.stall_timeout_s:g} s"
        elif patience.is_thinking:
            problem = f"stalled in mid-thought for {settings.first_token_timeout_s:g} s"
        else:
            problem = f"no first token within {settings.first_token_timeout_s:g} s"
        return ProviderTimeout("openai", f"{self._where}: {problem}")

    def _translated(self, error: Exception) -> ProviderError:
        """Vendor exception to ours: the only place."""
        text = self._harmless(str(error))
        kind: type[ProviderError]
        match error:
            case openai.APITimeoutError() | httpx2.TimeoutException():
                kind, text = ProviderTimeout, "no answer in time"
            case openai.APIConnectionError() | httpx2.HTTPError():
                kind = ProviderUnavailable
                text = f"connection failed ({self._harmless(str(error.__cause__ or error))})"
            case openai.APIResponseValidationError():
                kind = ProviderProtocolError
            case openai.APIStatusError(status_code=status):
                kind = kind_of(status, error.code, error.type, text)
            case _:
                kind, text = ProviderProtocolError, f"not a chat completion stream ({text})"
        return kind("openai", f"{self._where}: {text}")

    def _harmless(self, text: str) -> str:
        """One short line without the key, which some servers repeat in their errors."""
        if key := self._settings.api_key.get_secret_value():
            text = text.replace(key, "***")
        return " ".join(text.split())[:300]


class _Patience:
    """Until when something must have come."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._time = asyncio.get_running_loop().time
        self.until = self._time() + settings.first_token_timeout_s
        self.is_thinking = False

    def saw(self, event: ReplyEvent) -> None:
        """Thoughts are no answer, but a sign of life."""
        if isinstance(event, Thinking):
            self.is_thinking = True
            settings = self._settings
            longer_s = max(settings.first_token_timeout_s, settings.stall_timeout_s)
            self.until = self._time() + longer_s

    def has_content(self) -> None:
        """Something of the answer came with the last line."""
        self.until = self._time() + self._settings.stall_timeout_s


def create(settings: Settings) -> LanguageModel:
    """Make the provider; connects to nothing yet."""
    return OpenAi(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    yield from missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""


def _refuses_stream_options(error: BaseException | None) -> bool:
    refused = isinstance(error, (openai.BadRequestError, openai.UnprocessableEntityError))
    return refused and "stream_options" in str(error)


def _retry_after_s(error: BaseException | None) -> float:
    """Read `retry-after-ms` or `Retry-After` in seconds (such servers do not use its date form)."""
    if not isinstance(error, openai.APIStatusError):
        return 0.0
    headers = error.response.headers
    for header, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[header]) * unit_s)
        except (KeyError, ValueError):
            continue
    return 0.0
