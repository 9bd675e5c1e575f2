"""A conversation in words, for engines that take no history or only part of one.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.providers.chat_history import CUT, CUT_NOTE
from gateway.providers.contracts import AssistantMessage, Message, ToolResult, UserMessage

GO_ON = "(Go on.)"
"""Stands for the caller where the engine is to speak and nothing was said to it."""


def words_of_user(message: UserMessage) -> str:
    """Return what the caller has said or typed as one sentence."""
    return f"The caller typed {message.text}." if message.typed else message.text


def words_of_assistant(message: AssistantMessage) -> str:
    """Return what the caller heard of a reply; a cut one ends in an ellipsis."""
    text = message.text.strip()
    return text.rstrip(" .,;:") + CUT if message.interrupted and text else text


def note(messages: Sequence[Message]) -> str:
    """Put into words what has happened beside the engine; empty if that is nothing."""
    lines = []
    for message in messages:
        if isinstance(message, UserMessage) and message.text.strip():
            lines.append(words_of_user(message))
        elif isinstance(message, AssistantMessage) and message.text.strip():
            lines.append(f'You have said to the caller: "{words_of_assistant(message)}"')
    return "\n".join(lines)


def transcript(messages: Sequence[Message]) -> str:
    """Put a conversation so far into words; empty if there was none."""
    lines = []
    for message in messages:
        match message:
            case UserMessage() if message.text.strip():
                lines.append(f"Caller: {words_of_user(message)}")
            case AssistantMessage():
                if message.text.strip():
                    lines.append(f"You: {words_of_assistant(message)}")
                lines += [
                    f"You called {call.name}({call.arguments})" for call in message.tool_calls
                ]
            case ToolResult(name=name, content=content):
                lines.append(f"{name} returned {content}")
            case _:
                pass
    if not lines:
        return ""
    is_cut = any(isinstance(message, AssistantMessage) and message.interrupted
                 for message in messages)  # fmt: skip
    head = "The conversation so far; go on from here, do not greet again."
    return "\n".join([head, *([CUT_NOTE] if is_cut else []), *lines])
