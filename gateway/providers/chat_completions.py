"""The chat-completions protocol without its I/O: our messages to JSON, streamed chunks to events.

Written for the many servers that speak it almost: calls without ids, with repeated ids, with every
call at index 0, in one piece or in fifty, arguments as an object, no finish reason, no choices.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

from gateway.errors import ProviderProtocolError, ProviderRejected
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ReplyEvent,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    UserMessage,
)
from gateway.providers.thinking import ThoughtFilter

OPENING = "(The caller is on the line.)"
"""Stands where the caller has said nothing yet: many chat templates want a user message first."""

CUT = "…"
CUT_NOTE = (
    f'A message of yours that ends in "{CUT}" was cut off there by the caller, who has heard'
    " nothing of what you meant to say after it."
)


def request_messages(instructions: str, messages: Sequence[Message]) -> list[dict[str, object]]:
    """Map a history to the `messages` of a request; always has a system or a user message first.

    Args:
        instructions: the system message; empty = none.
        messages: oldest first; every tool result follows the message that called the tool.
    """
    cut = any(isinstance(m, AssistantMessage) and m.interrupted and m.text for m in messages)
    system = "\n\n".join(filter(None, (instructions, CUT_NOTE if cut else "")))
    mapped: list[dict[str, object]] = [{"role": "system", "content": system}] if system else []
    if not messages or not isinstance(messages[0], UserMessage):
        mapped.append({"role": "user", "content": OPENING})
    for message in messages:
        _append(mapped, _message(message))
    return mapped


def request_tools(tools: Sequence[ToolSpec]) -> list[dict[str, object]]:
    """Map tool specifications to the `tools` of a request."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in tools
    ]


class StreamedReply:
    """Reads the chunks of one streamed reply.

    Chunks are taken as objects of which nothing is sure: the SDK does not validate them.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._calls = _CallParts()
        self._thoughts = ThoughtFilter()
        self._usage: Usage | None = None
        self._finish_reason = ""
        self._has_choice = False
        self._has_text = False

    @property
    def has_content(self) -> bool:
        """True once text or a part of a tool call has come (a role or keep-alive is neither)."""
        return self._has_text or bool(self._calls.calls)

    def feed(self, chunk: object) -> Iterator[TextDelta]:
        """Take one chunk; yield its text.  Refusals are text: they are meant for the caller."""
        if usage := getattr(chunk, "usage", None):
            self._take_usage(usage)
        for choice in _as_list(getattr(chunk, "choices", None))[:1]:
            self._has_choice = True
            reason = _as_text(getattr(choice, "finish_reason", None))
            self._finish_reason = reason or self._finish_reason
            delta = getattr(choice, "delta", None)
            content = self._thoughts.feed(_as_text(getattr(delta, "content", None)))
            yield from self._text(content + _as_text(getattr(delta, "refusal", None)))
            for part in _as_list(getattr(delta, "tool_calls", None)):
                self._calls.add(part)

    def finish(self) -> Iterator[ReplyEvent]:
        """End of the stream: yield the tool calls and the usage.

        Raises:
            ProviderProtocolError: nothing of a chat completion was in the stream.
            ProviderRejected: the content filter or the token limit left nothing to say.
        """
        yield from self._text(self._thoughts.rest())
        if not self._has_choice:
            raise ProviderProtocolError(self._provider, "the stream ended without any choice")
        if not self.has_content and self._finish_reason in {"content_filter", "length"}:
            raise ProviderRejected(
                self._provider, f"ended with no text, finish reason {self._finish_reason!r}"
            )
        yield from self._calls.finished()
        if self._usage:
            yield self._usage

    def _text(self, text: str) -> Iterator[TextDelta]:
        if text:
            self._has_text = True
            yield TextDelta(text)

    def _take_usage(self, usage: object) -> None:
        # Some servers send a running total with every chunk: the last one counts.
        tokens = [getattr(usage, key, None) for key in ("prompt_tokens", "completion_tokens")]
        self._usage = Usage(*(count if isinstance(count, int) else 0 for count in tokens))


@dataclass(slots=True)
class _OpenCall:
    id: str
    server_id: str
    name: str
    arguments: str
    index: int | None

    def is_complete(self) -> bool:
        return _is_json_object(self.arguments)


class _CallParts:
    """Puts tool calls together from their deltas."""

    def __init__(self) -> None:
        self.calls: list[_OpenCall] = []

    def add(self, part: object) -> None:
        function = getattr(part, "function", None)
        name = _as_text(getattr(function, "name", None))
        arguments = getattr(function, "arguments", None)
        arguments = json.dumps(arguments) if isinstance(arguments, dict) else _as_text(arguments)
        call_id = _as_text(getattr(part, "id", None))
        index = getattr(part, "index", None)
        call = self._find(index, call_id, name, arguments)
        if call is None:
            free_id = self._free_id(call_id)
            self.calls.append(_OpenCall(free_id, call_id, name, arguments, index))
            return
        call.name = call.name or name
        call.arguments += arguments

    def finished(self) -> Iterator[ToolCall]:
        """Yield the calls that have a name, in the order in which they began."""
        for call in self.calls:
            if call.name:
                yield ToolCall(call.id, call.name, call.arguments or "{}")

    def _find(self, index: int | None, call_id: str, name: str, arguments: str) -> _OpenCall | None:
        """Return the call that a delta continues, None where it starts one."""
        same_index = [call for call in self.calls if index is None or call.index == index]
        if not same_index:
            same_id = [call for call in self.calls if call_id and call.server_id == call_id]
            return same_id[-1] if same_id and not name else None
        call = same_index[-1]
        if not (name and call.name):
            return call
        # The name comes again: either a server that repeats it with every delta, or one that gives
        # every call the same index.  Only a call that is whole can be followed by another.
        other_id = bool(call_id) and call_id != call.server_id
        if not call.arguments:
            return None if other_id else call
        return None if call.is_complete() and (other_id or arguments.strip()) else call

    def _free_id(self, call_id: str) -> str:
        """Return the server's id, or one of ours where it sent none or a used one."""
        if call_id and all(call.id != call_id for call in self.calls):
            return call_id
        return uuid4().hex[:9]  # Mistral takes exactly nine alphanumerics, the others anything


def _message(message: Message) -> dict[str, object]:
    match message:
        case UserMessage(text=text):
            return {"role": "user", "content": text}
        case ToolResult(call_id=call_id, content=content):
            return {"role": "tool", "tool_call_id": call_id, "content": content}
        case AssistantMessage(text=text, tool_calls=calls, interrupted=interrupted):
            said = text.rstrip(" .,;:") + CUT if interrupted and text else text
            if not calls:
                return {"role": "assistant", "content": said}
            return {
                "role": "assistant",
                "content": said or None,
                "tool_calls": [_call(call) for call in calls],
            }


def _call(call: ToolCall) -> dict[str, object]:
    # Some servers parse the arguments of the history and refuse the request when they cannot;
    # what was wrong with them stands in the tool's result.
    arguments = call.arguments if _is_json_object(call.arguments) else "{}"
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _append(mapped: list[dict[str, object]], message: dict[str, object]) -> None:
    """Append, joining assistant texts in a row: strict chat templates want roles to alternate."""
    last = mapped[-1] if mapped else {}
    if message["role"] == last.get("role") == "assistant" and not {"tool_calls"} & {
        *message,
        *last,
    }:
        last["content"] = f"{last['content']} {message['content']}"
    else:
        mapped.append(message)


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
