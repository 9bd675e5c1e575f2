"""Estimates of tokens: one rule for the history's length, for limits and for costs.  Pure."""

from __future__ import annotations

import json

from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ReplyRequest,
    ToolCall,
    ToolResult,
)

BYTES_PER_TOKEN = 4
"""Of UTF-8: four letters of English, two of Cyrillic or Arabic, one and a third of Chinese."""
_FRAME = 4
"""What a message costs beside its text: its role and its limits."""


def tokens_in(text: str) -> int:
    """Estimate the tokens of a text in any language."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def tokens_of(message: Message) -> int:
    """Estimate what a message of the history costs."""
    text = message.content if isinstance(message, ToolResult) else message.text
    calls = message.tool_calls if isinstance(message, AssistantMessage) else ()
    return _FRAME + tokens_in(text) + sum(map(tokens_of_call, calls))


def tokens_of_call(call: ToolCall) -> int:
    """Estimate what a tool call costs."""
    return tokens_in(call.name + call.arguments)


def tokens_asked(request: ReplyRequest) -> int:
    """Estimate the input of a request: instructions, history and tools."""
    tools = (
        json.dumps((tool.name, tool.description, tool.parameters), ensure_ascii=False, default=str)
        for tool in request.tools
    )
    return (
        tokens_in(request.instructions)
        + sum(map(tokens_of, request.messages))
        + sum(map(tokens_in, tools))
    )
