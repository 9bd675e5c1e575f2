"""Any server that speaks OpenAI chat completions, through the official SDK, streamed.

Leaving the generator (or being cancelled in it) closes the HTTP response, so the server sees the
connection go and stops generating.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import openai
from pydantic import Field, SecretStr

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.chat_completions import StreamedReply, request_messages, request_tools
from gateway.providers.contracts import LanguageModel, ProviderSettings, ReplyEvent, ReplyRequest

SUMMARY = "Any OpenAI-compatible chat completions endpoint (base_url), streamed."

RETRY_MIN_S = 0.15
RETRY_MAX_S = 2.0
IDLE_CONNECTION_S = 90.0
"""An idle connection is kept so long: a caller's turn is often longer than httpx's five seconds."""


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
    """Between two chunks after that."""
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

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stream_usage = settings.stream_usage
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
            ProviderUnavailable: nobody answers at `base_url`, or only with a server error.
            ProviderTimeout: no answer in time.
            ProviderRejected: the key is refused.
        """
        try:
            async with asyncio.timeout(self._settings.first_token_timeout_s):
                await self._client.get("/models", cast_to=httpx2.Response)
        except TimeoutError as exc:
            raise ProviderTimeout("openai", f"no answer from {self._where}") from exc
        except openai.APIStatusError as exc:
            # Not every server lists its models: a 404 proves that somebody is there.
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
                        has_begun = True
                        yield event
                    return
            except ProviderError as error:
                tries += 1
                if has_begun:
                    raise
                delay_s = self._retry_delay_s(error, tries)
                if delay_s is None:
                    raise
            await asyncio.sleep(delay_s)

    async def close(self) -> None:
        """Close the connections.  Idempotent."""
        await self._client.close()

    async def _attempt(self, request: ReplyRequest) -> AsyncGenerator[ReplyEvent, None]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.first_token_timeout_s
        reply = StreamedReply("openai")
        try:
            async with asyncio.timeout_at(deadline):
                stream = await self._client.chat.completions.create(**self._body(request))
            async with stream:
                while True:
                    async with asyncio.timeout_at(deadline):
                        try:
                            chunk = await anext(stream)
                        except StopAsyncIteration:
                            break
                    for delta in reply.feed(chunk):
                        yield delta
                    if reply.has_content:
                        deadline = loop.time() + self._settings.stall_timeout_s
        except TimeoutError as exc:
            raise self._timed_out(reply) from exc
        except (openai.OpenAIError, ValueError) as exc:  # ValueError: a chunk that is not JSON
            raise self._translated(exc) from exc
        for event in reply.finish():
            yield event

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
        """The server for messages, without credentials or query."""
        parts = urlsplit(self._settings.base_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def _timed_out(self, reply: StreamedReply) -> ProviderTimeout:
        settings = self._settings
        if reply.has_content:
            problem = f"stalled in mid-answer for {settings.stall_timeout_s:g} s"
        else:
            problem = f"no first token within {settings.first_token_timeout_s:g} s"
        return ProviderTimeout("openai", f"{self._where}: {problem}")

    def _translated(self, error: Exception) -> ProviderError:
        """Vendor exception to ours: the only place."""
        text = self._harmless(str(error))
        kind: type[ProviderError]
        match error:
            case openai.APITimeoutError():
                kind, text = ProviderTimeout, "no answer in time"
            case openai.APIConnectionError():
                kind = ProviderUnavailable
                text = f"connection failed ({self._harmless(str(error.__cause__ or error))})"
            case openai.APIResponseValidationError():
                kind = ProviderProtocolError
            case openai.APIStatusError(status_code=status):
                kind = ProviderUnavailable if _is_temporary(status, error) else ProviderRejected
            case openai.APIError():  # an error object in mid-stream
                kind = ProviderRejected if _is_final(error) else ProviderUnavailable
            case _:
                kind, text = ProviderProtocolError, f"not a chat completion stream ({text})"
        return kind("openai", f"{self._where}: {text}")

    def _harmless(self, text: str) -> str:
        """One short line without the key, which some servers repeat in their errors."""
        if key := self._settings.api_key.get_secret_value():
            text = text.replace(key, "***")
        return " ".join(text.split())[:300]


def create(settings: Settings) -> LanguageModel:
    """Make the provider; connects to nothing yet."""
    return OpenAi(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""


FINAL_CODES = frozenset({
    "insufficient_quota",
    "invalid_request_error",
    "invalid_api_key",
    "authentication_error",
    "context_length_exceeded",
    "content_filter",
})  # fmt: skip
"""Error codes and types that another try does not change, whatever their status."""


def _is_final(error: openai.APIError) -> bool:
    return bool({error.code, error.type} & FINAL_CODES)


def _is_temporary(status: int, error: openai.APIError) -> bool:
    return status in {408, 409, 429} or status >= 500 if not _is_final(error) else False


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
