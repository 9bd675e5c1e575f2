"""A conversation as the `messages` of a request that the strictest known server takes.  Pure.

Templates and servers differ in what they refuse; none refuses this (property-tested):

- one system message, first; then `user` and `assistant` in turns, the caller's first;
- never a text of the assistant last, never an empty text;
- an assistant's tool calls are followed by exactly one result each, in their order, and these by
  the assistant, never by the caller; no id is used twice.

Chat templates of Mistral raise on `user` behind `tool` ("Unexpected role 'user' after role
'tool'") and on a last `assistant`; those of Gemma and Llama 2 want turns; vLLM refuses results
without calls, OpenAI calls without results, Anthropic empty texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from gateway.providers.call_ids import free_call_id, short_id
from gateway.providers.call_notes import CallNotes
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from gateway.providers.tool_text import object_of

OPENING = "(The caller is on the line.)"
"""Stands where the caller has said nothing yet."""
GO_ON = "(Go on.)"
"""Stands where the caller has said nothing since the bot's last words."""
NO_RESULT = '{"error": "no result: the call was broken off"}'

_OF_CALL = ("extra_content",)
_OF_MESSAGE = ("reasoning_content",)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")

CUT = "…"
CUT_NOTE = (
    f'A message of yours that ends in "{CUT}" was cut off there by the caller, who has heard'
    " nothing of what you meant to say after it."
)


def request_messages(
    instructions: str,
    messages: Sequence[Message],
    notes: CallNotes | None = None,
    *,
    has_short_ids: bool = False,
) -> list[dict[str, object]]:
    """Map a history to the `messages` of a request.

    Args:
        instructions: the system message; empty = none.
        messages: oldest first, in whatever state cuts have left them.
        notes: what must be sent back with calls: members of the call, and of its message.
        has_short_ids: calls have ids of nine letters and digits.
    """
    turns = in_turns(with_results(messages))
    system = "\n\n".join(filter(str.strip, (cleaned(instructions), cut_note(turns))))
    mapped: list[dict[str, object]] = [{"role": "system", "content": system}] if system else []
    mapped += [_message(message, notes or CallNotes()) for message in turns]
    return _with_short_ids(mapped) if has_short_ids else mapped


def cut_note(turns: Sequence[Message]) -> str:
    """Return what the model must know of cuts; empty where there are none."""
    cut = any(isinstance(m, AssistantMessage) and m.text.endswith(CUT) for m in turns)
    return CUT_NOTE if cut else ""


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


def with_results(messages: Sequence[Message]) -> list[Message]:
    """Put one result behind every call; drop results without a call, and what is empty."""
    made: list[Message] = []
    used: set[str] = set()
    for position, message in enumerate(messages):
        if isinstance(message, UserMessage) and cleaned(message.text).strip():
            text = cleaned(message.text)
            made.append(UserMessage(f"The caller typed {text}." if message.typed else text))
        elif isinstance(message, AssistantMessage):
            calls, results = _answered(message, messages[position + 1 :], used)
            text = _as_said(message)
            if text or calls:
                made += [AssistantMessage(text, tuple(calls)), *results]
    return made


def _answered(
    message: AssistantMessage, after: Sequence[Message], used: set[str]
) -> tuple[list[ToolCall], list[ToolResult]]:
    calls, results = [], []
    for call in message.tool_calls:
        result = _result_of(call.id, after) or ToolResult(call.id, call.name, NO_RESULT)
        free = free_call_id(call.id, used.__contains__)
        used.add(free)
        calls.append(replace(call, id=free))
        content = cleaned(result.content).strip() or "{}"
        results.append(replace(result, call_id=free, content=content))
    return calls, results


def _result_of(call_id: str, after: Sequence[Message]) -> ToolResult | None:
    """Find a call's result, which may stand behind what was said meanwhile."""
    for message in after:
        if isinstance(message, ToolResult) and message.call_id == call_id:
            return message
        if isinstance(message, AssistantMessage) and any(
            c.id == call_id for c in message.tool_calls
        ):
            return None
    return None


def _as_said(message: AssistantMessage) -> str:
    text = cleaned(message.text).strip()
    return text.rstrip(" .,;:") + CUT if message.interrupted and text else text


def cleaned(text: str) -> str:
    """Leave out control characters, which some servers refuse, but for tab and line feed."""
    return _CONTROL.sub("", text)


def in_turns(messages: Sequence[Message]) -> list[Message]:
    """Join adjacent messages of one role; separate those that may not be adjacent."""
    turns: list[Message] = []
    if not messages or not isinstance(messages[0], UserMessage):
        turns.append(UserMessage(OPENING))
    for message in messages:
        last = turns[-1] if turns else None
        if isinstance(message, UserMessage) and isinstance(last, UserMessage):
            turns[-1] = replace(last, text=f"{last.text} {message.text}")
        elif isinstance(message, UserMessage) and isinstance(last, ToolResult):
            turns += [AssistantMessage(CUT), message]
        elif isinstance(message, AssistantMessage) and isinstance(last, AssistantMessage):
            text = " ".join(filter(None, (last.text, message.text)))
            turns[-1] = AssistantMessage(text, message.tool_calls)
        else:
            turns.append(message)
    if isinstance(turns[-1], AssistantMessage):
        turns.append(UserMessage(GO_ON))
    return turns


def _message(message: Message, notes: CallNotes) -> dict[str, object]:
    match message:
        case UserMessage(text=text):
            return {"role": "user", "content": text}
        case ToolResult(call_id=call_id, content=content):
            return {"role": "tool", "tool_call_id": call_id, "content": content}
        case AssistantMessage(text=text, tool_calls=calls):
            if not calls:
                return {"role": "assistant", "content": text}
            made: dict[str, object] = {
                "role": "assistant",
                "content": text or None,
                "tool_calls": [_call(call, notes) for call in calls],
            }
            thoughts = [noted for call in calls if (noted := _noted(notes, call, *_OF_MESSAGE))]
            return made | thoughts[0] if thoughts else made


def _call(call: ToolCall, notes: CallNotes) -> dict[str, object]:
    arguments = json.dumps(arguments_of(call), ensure_ascii=False)
    made = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    return made | _noted(notes, call, *_OF_CALL)


def arguments_of(call: ToolCall) -> dict[str, object]:
    """Return a call's arguments as an object, whatever the model has written.

    Some servers parse the arguments of the history and refuse the request when they cannot; what
    was wrong with them stands in the tool's result.
    """
    return object_of(call.arguments) or {}


def _noted(notes: CallNotes, call: ToolCall, *keys: str) -> dict[str, object]:
    note = notes.of(call.id)
    return {key: note[key] for key in keys if key in note} if isinstance(note, dict) else {}


def _with_short_ids(messages: list[dict[str, object]]) -> list[dict[str, object]]:
    """Exchange ids of other engines, or of ours, for those that Mistral takes."""
    for message in messages:
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            message["tool_calls"] = [call | {"id": short_id(str(call["id"]))} for call in calls]
        if "tool_call_id" in message:
            message["tool_call_id"] = short_id(str(message["tool_call_id"]))
    return messages
