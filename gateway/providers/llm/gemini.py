"""Google's Gemini in its own protocol: streaming, function calls, signatures of thoughts, safety.

Protocol: https://ai.google.dev/api/generate-content. Its own client is not used: decision 59.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote
from uuid import uuid4

from pydantic import Field

from gateway.errors import ProviderError, ProviderRejected, ProviderUnavailable
from gateway.providers.call_notes import CallNotes, notes_in
from gateway.providers.call_parts import as_text, value_of
from gateway.providers.chat_completions import as_list
from gateway.providers.chat_history import arguments_of, cleaned, cut_note, in_turns, with_results
from gateway.providers.contracts import (
    AssistantMessage,
    LanguageModel,
    Message,
    ReplyEvent,
    ReplyRequest,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    UserMessage,
)
from gateway.providers.event_stream import parsed
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.http_model import HttpModel, HttpModelSettings
from gateway.providers.reply_parts import ReplyParts, count

SUMMARY = "Google's Gemini models (generateContent): streaming, function calls, safety."

_HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_NO_SIGNATURE = "skip_thought_signature_validator"
"""Stands for a signature that was lost, as Google documents it."""
_WANTS_SIGNATURES = re.compile(r"gemini-(?:[3-9]|\d{2})")
_WAIT = re.compile(r"([\d.]+)s")
Part = dict[str, Any]


class Settings(HttpModelSettings):
    """`llm = { provider = "gemini", ... }`."""

    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = (
        "https://generativelanguage.googleapis.com/v1beta"
    )
    thinking_budget_tokens: Annotated[int, Field(ge=-1)] | None = None
    """Tokens for thoughts before an answer: 0 = none, -1 = as many as the model wants; not set =
    the model's default. Models of generation 2.5; a caller waits for them."""
    thinking_level: Literal["", "minimal", "low", "medium", "high"] = ""
    """The same for models of generation 3."""
    safety_threshold: Literal["", "OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE",
                              "BLOCK_LOW_AND_ABOVE"] = ""  # fmt: skip
    """From which probability of harm an answer is withheld, in all four categories; empty = the
    vendor's default."""


class Reply(ReplyParts):
    """Reads the chunks of one reply."""

    kinds_of_empty: ClassVar[Mapping[str, type[ProviderError]]] = {
        **dict.fromkeys(
            ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
             "MAX_TOKENS", "MODEL_ARMOR", "JAILBREAK"),
            ProviderRejected,
        ),
        **dict.fromkeys(
            # Another try mostly helps: the model has not said what it wanted to.
            ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "OTHER",
             "MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS", "EMPTY"),
            ProviderUnavailable,
        ),
    }  # fmt: skip

    def __init__(
        self, provider: str, tools: Sequence[str], notes: CallNotes, *, must_speak: bool
    ) -> None:
        """Begin.

        Args:
            provider: named in errors.
            tools: names of the tools that there are.
            notes: of earlier replies.
            must_speak: the caller has spoken last: an empty answer is a failure.
        """
        super().__init__(provider, tools)
        self._notes = notes
        self._must_speak = must_speak
        self._made: dict[str, Part] = {}

    def feed(self, value: object) -> Iterator[ReplyEvent]:
        """Accept one chunk."""
        self.feed_usage(value)
        blocked = as_text(value_of(value_of(value, "promptFeedback"), "blockReason"))
        candidates = as_list(value_of(value, "candidates"))
        self.has_begun = self.has_begun or bool(candidates or blocked)
        for candidate in candidates[:1]:
            for part in as_list(value_of(value_of(candidate, "content"), "parts")):
                yield from self._part(part)
            reason = as_text(value_of(candidate, "finishReason"))
            self._finish_reason = reason or self._finish_reason
        self._finish_reason = blocked or self._finish_reason

    def feed_usage(self, value: object) -> None:
        """Accept the counts of a chunk: running totals."""
        usage = value_of(value, "usageMetadata")
        read = count(usage, "promptTokenCount")
        if read is None:
            return
        read += count(usage, "toolUsePromptTokenCount") or 0
        said, thought = count(usage, "candidatesTokenCount"), count(usage, "thoughtsTokenCount")
        written = None if said is None and thought is None else (said or 0) + (thought or 0)
        self.usage = Usage(read, written, count(usage, "cachedContentTokenCount") or 0)

    def finish(self) -> Iterator[ReplyEvent]:
        """End of the stream (see `ReplyParts.finish`), and the signatures of its calls."""
        if self._must_speak and self._finish_reason == "STOP":
            self._finish_reason = "EMPTY"  # a known habit of these models
        yield from super().finish()
        if self._made:
            yield self._notes.memo(self._made)

    def _part(self, part: object) -> Iterator[ReplyEvent]:
        call = value_of(part, "functionCall")
        if value_of(part, "thought"):
            yield Thinking()
        elif isinstance(call, dict):
            self._call(call, as_text(value_of(part, "thoughtSignature")))
        else:
            yield from self._text(as_text(value_of(part, "text")))

    def _call(self, call: Part, signature: str) -> None:
        """Accept a call, which always comes whole; most models give it no id."""
        given = as_text(call.get("id"))
        index = len(self._calls.calls)
        arguments = call.get("args") or {}
        call_id = given or uuid4().hex[:9]
        part = {"index": index, "id": call_id, "name": call.get("name"), "arguments": arguments}
        self._calls.add(part)
        note = {"thoughtSignature": signature, "id": given}
        self._made[self._calls.calls[-1].id] = {key: it for key, it in note.items() if it}


class GenerateContent:
    """The protocol (`kit.http_model.ModelProtocol`)."""

    provider = "gemini"
    optional: Sequence[str] = ()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._owner = f"{settings.base_url} {settings.model}"

    def reply_path(self) -> str:
        """Return where a reply is asked for, as server-sent events."""
        model = self._settings.model
        model = model if "/" in model else f"models/{model}"
        return f"/{quote(model)}:streamGenerateContent?alt=sse"

    def check_path(self) -> str:
        """Return the list of models."""
        return "/models?pageSize=1"

    def headers(self) -> dict[str, str]:
        """Return the key."""
        return {"x-goog-api-key": self._settings.api_key.get_secret_value()}

    def body(self, request: ReplyRequest) -> dict[str, Any]:
        """Return a request; what is not set is not sent."""
        settings = self._settings
        turns = in_turns(with_results(request.messages))
        needs = bool(_WANTS_SIGNATURES.search(settings.model))
        notes = notes_in(request.memo, self._owner)
        body: dict[str, Any] = {"contents": _contents(turns, notes, needs_signatures=needs)}
        instructions = [cleaned(request.instructions).strip(), cut_note(turns)]
        if system := [{"text": text} for text in instructions if text]:
            body["systemInstruction"] = {"parts": system}
        if request.tools:
            body["tools"] = [{"functionDeclarations": [_declared(it) for it in request.tools]}]
        thinking: dict[str, Any] = {}
        if settings.thinking_budget_tokens is not None:
            thinking["thinkingBudget"] = settings.thinking_budget_tokens
        if settings.thinking_level:
            thinking["thinkingLevel"] = settings.thinking_level.upper()
        wishes = {
            "temperature": settings.temperature,
            "maxOutputTokens": settings.max_tokens,
            "thinkingConfig": thinking or None,
        }
        if config := {key: value for key, value in wishes.items() if value is not None}:
            body["generationConfig"] = config
        if threshold := settings.safety_threshold:
            body["safetySettings"] = [
                {"category": f"HARM_CATEGORY_{harm}", "threshold": threshold} for harm in _HARMS
            ]
        return body

    def reply(self, request: ReplyRequest) -> ReplyParts:
        """Return the reader of the answer."""
        tools = [tool.name for tool in request.tools]
        asked = not request.messages or isinstance(request.messages[-1], UserMessage)
        notes = notes_in(request.memo, self._owner)
        return Reply(self.provider, tools, notes, must_speak=asked)

    def error_in(self, value: object) -> dict[str, object] | None:
        """Find the error in a chunk or body, with what stands in its details."""
        error = value_of(value, "error")
        if isinstance(error, str):  # a proxy in between
            inner = value_of(parsed(error), "error")
            error = inner if isinstance(inner, dict) else {"message": error}
        if not isinstance(error, dict):
            return None
        found: dict[str, object] = {
            "message": error.get("message"), "code": error.get("code"), "type": error.get("status")
        }  # fmt: skip
        for detail in as_list(error.get("details")):
            found |= _detail(detail)
        return found


def _detail(detail: object) -> dict[str, object]:
    if value_of(detail, "reason") == "API_KEY_INVALID":
        return {"type": "invalid_api_key"}
    for violation in as_list(value_of(detail, "violations")):
        if "PerDay" in as_text(value_of(violation, "quotaId")):  # its message speaks of a rate
            return {"type": "insufficient_quota"}
    wait = _WAIT.fullmatch(as_text(value_of(detail, "retryDelay")))
    return {"retry_after_s": float(wait[1])} if wait else {}


def _declared(tool: ToolSpec) -> Part:
    declared: Part = {"name": tool.name, "description": tool.description}
    if tool.parameters.get("properties"):  # an object without any is refused
        declared["parametersJsonSchema"] = tool.parameters
    return declared


def _contents(
    turns: Sequence[Message], notes: CallNotes, *, needs_signatures: bool
) -> list[dict[str, Any]]:
    """Map turns to contents; the results of one message's calls are one content."""
    mapped: list[dict[str, Any]] = []
    before: Message | None = None
    for turn in turns:
        if isinstance(turn, ToolResult) and isinstance(before, ToolResult):
            mapped[-1]["parts"].append(_result(turn, notes))
        else:
            role = "model" if isinstance(turn, AssistantMessage) else "user"
            mapped.append({"role": role, "parts": _parts(turn, notes, needs_signatures)})
        before = turn
    return mapped


def _parts(turn: Message, notes: CallNotes, needs_signatures: bool) -> list[Part]:  # noqa: FBT001
    match turn:
        case ToolResult():
            return [_result(turn, notes)]
        case AssistantMessage(tool_calls=(first, *others)):
            said = [{"text": turn.text}] if turn.text else []
            called = [_call(first, notes, needs_signature=needs_signatures)]
            return [*said, *called, *(_call(call, notes) for call in others)]
    return [{"text": turn.text}]


def _note(notes: CallNotes, call_id: str) -> Mapping[str, object]:
    note = notes.of(call_id)
    return note if isinstance(note, dict) else {}


def _call(call: ToolCall, notes: CallNotes, *, needs_signature: bool = False) -> Part:
    note = _note(notes, call.id)
    made: Part = {"name": call.name, "args": arguments_of(call)}
    if "id" in note:
        made["id"] = note["id"]
    signature = note.get("thoughtSignature") or (_NO_SIGNATURE if needs_signature else "")
    part: Part = {"functionCall": made}
    return part | {"thoughtSignature": signature} if signature else part


def _result(result: ToolResult, notes: CallNotes) -> Part:
    value = parsed(result.content)
    output = {"error" if result.is_error else "output": value if value is not None else "done"}
    response: Part = {"name": result.name, "response": value if isinstance(value, dict) else output}
    if "id" in (note := _note(notes, result.call_id)):
        response["id"] = note["id"]
    return {"functionResponse": response}


def create(settings: Settings) -> LanguageModel:
    """Make the provider; connects to nothing yet."""
    return HttpModel(settings, GenerateContent(settings))


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work, for `gateway check`."""
    if settings.thinking_level and settings.thinking_budget_tokens is not None:
        yield "thinking_level", "cannot be set with thinking_budget_tokens: leave one of them out"


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    yield from missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
