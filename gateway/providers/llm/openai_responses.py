"""OpenAI's Responses API: streaming, function calls, reasoning that is sent back encrypted.

Nothing is kept at the vendor (`store = false`): its own history would hold what the bot wrote, not
what the caller has heard of it (decision 59).
Protocol: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.errors import ProviderRejected
from gateway.providers.call_notes import CallNotes, notes_in
from gateway.providers.call_parts import as_text, value_of
from gateway.providers.chat_completions import as_list, usage_of
from gateway.providers.chat_history import arguments_of, cleaned, cut_note, in_turns, with_results
from gateway.providers.contracts import (
    AssistantMessage,
    LanguageModel,
    Message,
    ReplyEvent,
    ReplyRequest,
    Thinking,
    ToolResult,
    UserMessage,
)
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.http_model import HttpModel, HttpModelSettings
from gateway.providers.reply_parts import ReplyParts

SUMMARY = "OpenAI's Responses API (also Azure's): streaming, function calls, reasoning."

Item = dict[str, Any]


class Settings(HttpModelSettings):
    """`llm = { provider = "openai_responses", ... }`."""

    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = "https://api.openai.com/v1"
    max_tokens: Annotated[int, Field(ge=16)] | None = None
    """Of one answer, thoughts included."""
    reasoning_effort: Literal["", "none", "minimal", "low", "medium", "high", "xhigh"] = ""
    """How long a reasoning model thinks before it answers; empty = the model's default. A caller
    waits for it."""
    verbosity: Literal["", "low", "medium", "high"] = ""
    """How much newer models say; empty = the model's default."""
    prompt_cache_key: str = ""
    """Helps the vendor to find what it has kept of instructions and history; such as the agent's
    name."""


class Reply(ReplyParts):
    """Reads the events of one reply."""

    kinds_of_empty = {"max_output_tokens": ProviderRejected, "content_filter": ProviderRejected}  # noqa: RUF012  # not changed

    def __init__(self, provider: str, tools: Sequence[str], notes: CallNotes) -> None:
        super().__init__(provider, tools)
        self._notes = notes
        self._reasoning: list[Item] = []
        self._spoken: set[object] = set()
        """Places of the output whose text came in pieces."""

    def feed(self, value: object) -> Iterator[ReplyEvent]:
        """Accept one event."""
        kind = as_text(value_of(value, "type"))
        self.has_begun = self.has_begun or kind.startswith("response.")
        place = value_of(value, "output_index")
        match kind.removeprefix("response."):
            case "output_text.delta" | "refusal.delta":
                self._spoken.add(place)
                yield from self._text(as_text(value_of(value, "delta")))
            case "function_call_arguments.delta":
                self._calls.add({"index": place, "arguments": value_of(value, "delta")})
            case "output_item.added":
                self._begun(place, value_of(value, "item"))
            case "output_item.done":
                yield from self._done(place, value_of(value, "item"))
            case "completed" | "incomplete":
                yield from self._ended(value_of(value, "response"))
            case name if name.startswith("reasoning"):
                yield Thinking()

    def feed_usage(self, value: object) -> None:
        """Accept the counts of the last event."""
        if usage := value_of(value_of(value, "response"), "usage"):
            self.usage = usage_of(usage, self.usage)

    def finish(self) -> Iterator[ReplyEvent]:
        """End of the stream (see `ReplyParts.finish`), and the reasoning behind its calls."""
        yield from super().finish()
        calls = self._calls.calls
        if calls and self._reasoning:
            yield self._notes.memo({calls[0].id: tuple(self._reasoning)})

    def _begun(self, place: object, item: object) -> None:
        if value_of(item, "type") == "function_call":
            part = {"index": place, "id": value_of(item, "call_id"), "name": value_of(item, "name")}
            self._calls.add(part)

    def _done(self, place: object, item: object) -> Iterator[ReplyEvent]:
        """Accept a whole item: of servers that send no pieces, the first that is told of it."""
        match value_of(item, "type"):
            case "reasoning" if isinstance(item, dict):
                kept = ("type", "id", "summary", "encrypted_content")
                self._reasoning.append({key: item[key] for key in kept if key in item})
                yield Thinking()
            case "function_call":
                known = [call for call in self._calls.calls if call.index == place]
                if not known:
                    self._begun(place, item)
                if not known or not known[0].arguments:
                    self._calls.add({"index": place, "arguments": value_of(item, "arguments")})
            case "message" if place not in self._spoken:
                self._spoken.add(place)
                for part in as_list(value_of(item, "content")):
                    said = as_text(value_of(part, "text")) or as_text(value_of(part, "refusal"))
                    yield from self._text(said)

    def _ended(self, response: object) -> Iterator[ReplyEvent]:
        has_pieces = self.has_content
        for place, item in enumerate(as_list(value_of(response, "output"))):
            if not has_pieces:
                yield from self._done(place, item)
        reason = as_text(value_of(value_of(response, "incomplete_details"), "reason"))
        self._finish_reason = reason or "completed"
        self.feed_usage({"response": response})


class Responses:
    """The protocol (`kit.http_model.ModelProtocol`)."""

    provider = "openai_responses"
    optional: Sequence[str] = ("temperature", "include", "stream_options", "reasoning", "text")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._owner = f"{settings.base_url} {settings.model}"

    def reply_path(self) -> str:
        """Return where a reply is asked for."""
        return "/responses"

    def check_path(self) -> str:
        """Return the list of models."""
        return "/models"

    def headers(self) -> dict[str, str]:
        """Return the key."""
        return {"Authorization": f"Bearer {self._settings.api_key.get_secret_value() or 'none'}"}

    def body(self, request: ReplyRequest) -> dict[str, Any]:
        """Return a request; what is not set is not sent."""
        settings = self._settings
        turns = in_turns(with_results(request.messages))
        notes = notes_in(request.memo, self._owner)
        body: dict[str, Any] = {
            "model": settings.model,
            "input": [item for turn in turns for item in _items(turn, notes)],
            "stream": True,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            # Without it each piece is filled up to hide its length.
            "stream_options": {"include_obfuscation": False},
        }
        parts = (cleaned(request.instructions).strip(), cut_note(turns))
        if system := "\n\n".join(filter(None, parts)):
            body["instructions"] = system
        if request.tools:
            body["tools"] = [
                {"type": "function", "name": it.name, "description": it.description,
                 "parameters": it.parameters, "strict": False}
                for it in request.tools
            ]  # fmt: skip
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.max_tokens is not None:
            body["max_output_tokens"] = settings.max_tokens
        if settings.reasoning_effort:
            body["reasoning"] = {"effort": settings.reasoning_effort}
        if settings.verbosity:
            body["text"] = {"verbosity": settings.verbosity}
        if settings.prompt_cache_key:
            body["prompt_cache_key"] = settings.prompt_cache_key
        return body

    def reply(self, request: ReplyRequest) -> ReplyParts:
        """Return the reader of the answer."""
        tools = [tool.name for tool in request.tools]
        return Reply(self.provider, tools, notes_in(request.memo, self._owner))

    def error_in(self, value: object) -> dict[str, object] | None:
        """Find the error in an event or body."""
        if value_of(value, "type") == "response.failed":
            value = value_of(value, "response")
        elif value_of(value, "type") == "error" and isinstance(value, dict):
            inner = value.get("error")
            return inner if isinstance(inner, dict) else {**value, "type": None}
        error = value_of(value, "error")
        return error if isinstance(error, dict) else {"message": str(error)} if error else None


def _items(turn: Message, notes: CallNotes) -> Iterator[Item]:
    match turn:
        case UserMessage(text=text):
            yield {"role": "user", "content": text}
        case ToolResult(call_id=call_id, content=content):
            yield {"type": "function_call_output", "call_id": call_id, "output": content}
        case AssistantMessage(text=text, tool_calls=calls):
            for call in calls:
                reasoning = notes.of(call.id)
                yield from reasoning if isinstance(reasoning, tuple) else ()
            if text:
                yield {"role": "assistant", "content": text}
            for call in calls:
                written = json.dumps(arguments_of(call), ensure_ascii=False)
                yield {"type": "function_call", "call_id": call.id, "name": call.name,
                       "arguments": written}  # fmt: skip


def create(settings: Settings) -> LanguageModel:
    """Make the provider; connects to nothing yet."""
    return HttpModel(settings, Responses(settings))


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    yield from missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
