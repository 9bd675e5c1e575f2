"""Any server that speaks OpenAI chat completions, streamed.

Protocol: https://platform.openai.com/docs/api-reference/chat, and what servers make of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from gateway.providers.call_notes import CallNotes, notes_in
from gateway.providers.chat_completions import StreamedReply, error_in
from gateway.providers.chat_history import request_messages, request_tools
from gateway.providers.contracts import LanguageModel, ReplyRequest
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.http_model import HttpModel, HttpModelSettings
from gateway.providers.reply_parts import ReplyParts, ThinkingHabit

SUMMARY = "Any OpenAI-compatible chat completions endpoint (base_url), streamed."

CallIds = Literal["any", "nine_alphanumerics"]


class Settings(HttpModelSettings):
    """`llm = { provider = "openai", ... }`."""

    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = "https://api.openai.com/v1"
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Of one answer, thoughts included.  Sent as `max_completion_tokens` to OpenAI itself, as the
    older `max_tokens` elsewhere, and by the other name where the server asks for that."""
    stream_usage: bool = True
    """Ask for token counts; given up by itself when the server refuses the option."""
    key_header: str = "Authorization"
    """Header of `api_key`: `Bearer KEY` in `Authorization`, the key alone in any other."""
    call_ids: CallIds = "any"
    """Ids of tool calls that the server takes: Mistral only takes nine letters and digits."""


class ChatCompletions:
    """The protocol (`kit.http_model.ModelProtocol`)."""

    optional: Sequence[str] = ("stream_options", "temperature", "max_tokens",
                               "max_completion_tokens")  # fmt: skip

    def __init__(self, settings: Settings, provider: str = "openai") -> None:
        self.provider = provider
        self._settings = settings
        self._habit = ThinkingHabit()
        self._owner = f"{settings.base_url} {settings.model}"

    def reply_path(self) -> str:
        """Return where a reply is asked for."""
        return "/chat/completions"

    def check_path(self) -> str:
        """Return the list of models."""
        return "/models"

    def headers(self) -> dict[str, str]:
        """Return the key."""
        # A server that asks for none gets a word: some want the header all the same.
        key = self._settings.api_key.get_secret_value() or "none"
        header = self._settings.key_header
        return {header: f"Bearer {key}" if header.lower() == "authorization" else key}

    def body(self, request: ReplyRequest) -> dict[str, Any]:
        """Return a request; what is not set is not sent."""
        settings = self._settings
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": request_messages(
                request.instructions,
                request.messages,
                self._notes(request),
                has_short_ids=settings.call_ids == "nine_alphanumerics",
            ),
            "stream": True,
        }
        if settings.max_tokens is not None:
            is_openai = urlsplit(settings.base_url).hostname == "api.openai.com"
            body["max_completion_tokens" if is_openai else "max_tokens"] = settings.max_tokens
        if request.tools:
            body["tools"] = request_tools(request.tools)
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.stream_usage:
            body["stream_options"] = {"include_usage": True}
        return body

    def reply(self, request: ReplyRequest) -> ReplyParts:
        """Return the reader of the answer."""
        tools = [tool.name for tool in request.tools]
        return StreamedReply(self.provider, tools, self._habit, self._notes(request))

    def error_in(self, value: object) -> dict[str, object] | None:
        """Find the error in a chunk or body."""
        return error_in(value)

    def _notes(self, request: ReplyRequest) -> CallNotes:
        return notes_in(request.memo, self._owner)


def create(settings: Settings) -> LanguageModel:
    """Make the provider; connects to nothing yet."""
    return HttpModel(settings, ChatCompletions(settings))


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    yield from missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
