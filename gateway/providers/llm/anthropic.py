"""Anthropic's Messages API in its own protocol: streaming, tools, prompt caching, thinking.

Protocol: https://platform.claude.com/docs/en/api/messages-streaming. Its own client is not used:
decision 59.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from gateway.errors import ContextExceeded, ProviderError, ProviderRejected
from gateway.providers.call_notes import CallNotes, notes_in
from gateway.providers.call_parts import as_text, value_of
from gateway.providers.chat_history import arguments_of, cleaned, cut_note, in_turns, with_results
from gateway.providers.contracts import (
    AssistantMessage,
    LanguageModel,
    Message,
    ReplyEvent,
    ReplyRequest,
    Thinking,
    ToolResult,
    Usage,
    UserMessage,
)
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.http_model import HttpModel, HttpModelSettings
from gateway.providers.reply_parts import ReplyParts, count

SUMMARY = "Anthropic's models (Messages API): streaming, tools, prompt caching."

_LEAST_BUDGET = 1024
"""Of thinking; the API refuses less."""
Block = dict[str, Any]


class Settings(HttpModelSettings):
    """`llm = { provider = "anthropic", ... }`."""

    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = "https://api.anthropic.com/v1"
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    """Newer models refuse it, and are then asked without."""
    max_tokens: Annotated[int, Field(ge=1)] = 1024
    """Of one answer, thoughts included; the API wants a limit."""
    api_version: str = "2023-06-01"
    """`anthropic-version` of each request."""
    key_header: str = "x-api-key"
    """Header of `api_key`; in `Authorization` it is `Bearer KEY`."""
    cache: Literal["off", "5m", "1h"] = "5m"
    """For how long the vendor keeps instructions, tools and history: reading them again costs a
    tenth, writing them a quarter more (`1h`: twice the price). Short prompts are not kept."""
    thinking_budget_tokens: Annotated[int, Field(ge=0)] | None = None
    """Tokens for thoughts before an answer, 1024 and more; 0 = none; not set = the model's default.
    A caller waits for them."""


class Reply(ReplyParts):
    """Reads the events of one reply."""

    kinds_of_empty: ClassVar[Mapping[str, type[ProviderError]]] = {
        "refusal": ProviderRejected,
        "max_tokens": ProviderRejected,
        "model_context_window_exceeded": ContextExceeded,
    }

    def __init__(self, provider: str, tools: Sequence[str], notes: CallNotes) -> None:
        super().__init__(provider, tools)
        self._notes = notes
        self._thoughts: dict[int, Block] = {}
        """By index: thinking blocks, to be sent back as they came."""
        self._counts: dict[str, int] = {}

    def feed(self, value: object) -> Iterator[ReplyEvent]:
        """Accept one event."""
        kind = value_of(value, "type")
        index = value_of(value, "index")
        index = index if isinstance(index, int) else 0
        self.has_begun = self.has_begun or kind == "message_start"
        match kind:
            case "content_block_start":
                yield from self._begun(index, value_of(value, "content_block"))
            case "content_block_delta":
                yield from self._delta(index, value_of(value, "delta"))
            case "message_delta":
                reason = as_text(value_of(value_of(value, "delta"), "stop_reason"))
                self._finish_reason = reason or self._finish_reason
            case "message_stop":
                self._finish_reason = self._finish_reason or "end_turn"
        self.feed_usage(value)

    def feed_usage(self, value: object) -> None:
        """Accept the counts of the beginning and of the end; the latter may leave some out."""
        usage = value_of(value, "usage") or value_of(value_of(value, "message"), "usage")
        if not isinstance(usage, dict):
            return
        for key in usage:
            if (number := count(usage, key)) is not None:
                self._counts[key] = max(number, self._counts.get(key, 0))
        read, written = (self._counts.get(f"cache_{it}_input_tokens", 0)
                         for it in ("read", "creation"))  # fmt: skip
        new, output = (self._counts.get(key) for key in ("input_tokens", "output_tokens"))
        whole = None if new is None else new + read + written
        self.usage = Usage(whole, output, read, written)

    def finish(self) -> Iterator[ReplyEvent]:
        """End of the stream (see `ReplyParts.finish`), and the thoughts behind its calls."""
        yield from super().finish()
        calls = self._calls.calls
        if calls and self._thoughts:
            yield self._notes.memo({calls[0].id: tuple(self._thoughts.values())})

    def _begun(self, index: int, block: object) -> Iterator[ReplyEvent]:
        kind = value_of(block, "type")
        if kind == "text":
            yield from self._text(as_text(value_of(block, "text")))
        elif kind in {"thinking", "redacted_thinking"} and isinstance(block, dict):
            self._thoughts[index] = dict(block)
            yield Thinking()
        elif kind == "tool_use":
            whole = value_of(block, "input") or None  # some servers send all of it at once
            part = {"id": value_of(block, "id"), "name": value_of(block, "name")}
            self._calls.add({"index": index, "arguments": whole, **part})

    def _delta(self, index: int, delta: object) -> Iterator[ReplyEvent]:
        match value_of(delta, "type"):
            case "text_delta":
                yield from self._text(as_text(value_of(delta, "text")))
            case "input_json_delta":
                part = {"index": index, "arguments": value_of(delta, "partial_json")}
                self._calls.add(part)
            case "thinking_delta" | "signature_delta":
                block = self._thoughts.setdefault(index, {"type": "thinking", "thinking": ""})
                for key in ("thinking", "signature"):
                    if more := as_text(value_of(delta, key)):
                        block[key] = as_text(block.get(key)) + more
                yield Thinking()


class Messages:
    """The protocol (`kit.http_model.ModelProtocol`)."""

    provider = "anthropic"
    optional: Sequence[str] = ("temperature",)

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._owner = f"{settings.base_url} {settings.model}"

    def reply_path(self) -> str:
        """Return where a reply is asked for."""
        return "/messages"

    def check_path(self) -> str:
        """Return the list of models."""
        return "/models?limit=1"

    def headers(self) -> dict[str, str]:
        """Return the key and the version of the protocol."""
        settings = self._settings
        key = settings.api_key.get_secret_value()
        is_bearer = settings.key_header.lower() == "authorization"
        return {
            settings.key_header: f"Bearer {key}" if is_bearer else key,
            "anthropic-version": settings.api_version,
        }

    def body(self, request: ReplyRequest) -> dict[str, Any]:
        """Return a request; what is to be kept by the vendor stands before what changes."""
        settings = self._settings
        notes = notes_in(request.memo, self._owner)
        turns = in_turns(with_results(request.messages))
        body: dict[str, Any] = {
            "model": settings.model,
            "max_tokens": settings.max_tokens,
            "messages": self._kept_last(_messages(turns, notes)),
            "stream": True,
        }
        if instructions := cleaned(request.instructions).strip():
            body["system"] = self._kept([{"type": "text", "text": instructions}])
        if note := cut_note(turns):
            body.setdefault("system", []).append({"type": "text", "text": note})
        if request.tools:
            tools = [
                {"name": it.name, "description": it.description, "input_schema": it.parameters}
                for it in request.tools
            ]
            body["tools"] = self._kept(tools)
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        budget = settings.thinking_budget_tokens
        if budget and _has_thoughts(turns, notes):
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        elif budget is not None:
            body["thinking"] = {"type": "disabled"}
        return body

    def reply(self, request: ReplyRequest) -> ReplyParts:
        """Return the reader of the answer."""
        tools = [tool.name for tool in request.tools]
        return Reply(self.provider, tools, notes_in(request.memo, self._owner))

    def error_in(self, value: object) -> dict[str, object] | None:
        """Find the error in an event or body."""
        error = value_of(value, "error")
        return error if isinstance(error, dict) else {"message": str(error)} if error else None

    def _kept(self, blocks: list[Block]) -> list[Block]:
        """Mark where what the vendor keeps ends."""
        if self._settings.cache != "off":
            mark: Block = {"type": "ephemeral"}
            if self._settings.cache == "1h":
                mark["ttl"] = "1h"
            blocks[-1] = {**blocks[-1], "cache_control": mark}
        return blocks

    def _kept_last(self, messages: list[Block]) -> list[Block]:
        messages[-1]["content"] = self._kept(messages[-1]["content"])
        return messages


def _messages(turns: Sequence[Message], notes: CallNotes) -> list[Block]:
    """Map turns to messages; results are the caller's, all those of one message together."""
    mapped: list[Block] = []
    for turn in turns:
        role = "assistant" if isinstance(turn, AssistantMessage) else "user"
        blocks = list(_blocks(turn, notes))
        if mapped and mapped[-1]["role"] == role:
            mapped[-1]["content"] += blocks
        else:
            mapped.append({"role": role, "content": blocks})
    return mapped


def _blocks(turn: Message, notes: CallNotes) -> Iterator[Block]:
    match turn:
        case UserMessage(text=text):
            yield {"type": "text", "text": text}
        case ToolResult(call_id=call_id, content=content, is_error=is_error):
            block = {"type": "tool_result", "tool_use_id": call_id, "content": content}
            yield block | ({"is_error": True} if is_error else {})
        case AssistantMessage(text=text, tool_calls=calls):
            yield from _thoughts_of(turn, notes)
            if text:
                yield {"type": "text", "text": text}
            for call in calls:
                arguments = arguments_of(call)
                yield {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _thoughts_of(turn: AssistantMessage, notes: CallNotes) -> Sequence[Block]:
    found = [notes.of(call.id) for call in turn.tool_calls]
    return next((note for note in found if isinstance(note, tuple)), ())


def _has_thoughts(turns: Sequence[Message], notes: CallNotes) -> bool:
    """Return whether a request may ask for thoughts: the calls that it goes on from have theirs.

    The API refuses thinking behind a call whose thoughts were lost.
    """
    for turn in reversed(turns):
        if isinstance(turn, UserMessage):
            return True
        if isinstance(turn, AssistantMessage) and not _thoughts_of(turn, notes):
            return False
    return True


def create(settings: Settings) -> LanguageModel:
    """Make the provider; connects to nothing yet."""
    return HttpModel(settings, Messages(settings))


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work, for `gateway check`."""
    budget = settings.thinking_budget_tokens
    if not budget:
        return
    if budget < _LEAST_BUDGET:
        yield (
            "thinking_budget_tokens",
            f"is {budget}: write 0 for none, or {_LEAST_BUDGET} and more",
        )
    if budget >= settings.max_tokens:
        yield (
            "thinking_budget_tokens",
            f"is {budget}, and max_tokens, which includes it, is {settings.max_tokens}: raise that",
        )
    if settings.temperature is not None:
        yield "temperature", "cannot be set with thinking_budget_tokens: leave one of them out"


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    yield from missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
