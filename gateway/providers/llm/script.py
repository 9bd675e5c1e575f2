"""Offline script: a TOML file instead of a language model; no cost, no network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import structlog

from gateway.providers.contracts import (
    LanguageModel,
    Memo,
    Message,
    ProviderSettings,
    ReplyEvent,
    ReplyRequest,
    TextDelta,
    ToolResult,
    UserMessage,
)
from gateway.script.engine import step
from gateway.script.loader import FRONT_DESK, load_script
from gateway.script.model import Script
from gateway.script.speech import fixed_texts, pieces
from gateway.script.state import State

SUMMARY = "Offline dialogue engine: intents, slots and flows in one TOML file."

_log = structlog.get_logger()


class Settings(ProviderSettings):
    """`llm = { provider = "script", file = "..." }`."""

    file: Path | None = None
    """Script to follow; none = the front desk that comes with the gateway."""


def check(settings: Settings) -> None:
    """Read the script.  Raises ConfigError with every fault in it."""
    if settings.file is not None:
        load_script(settings.file)


class ScriptModel:
    """Follows a script; satisfies `LanguageModel`.  All it knows of a call is in the memo."""

    counts_tokens = False
    waits_for_tools = True
    tells_what_it_expects = True

    def __init__(self, script: Script) -> None:
        self.known_texts: Sequence[str] = fixed_texts(script)
        self._script = script

    async def warm_up(self) -> None:
        """Nothing to load: the script was read when this was made."""

    async def reply(self, request: ReplyRequest) -> AsyncIterator[ReplyEvent]:
        """Yield the memo, the reply in groups of words, then a tool call or what is expected."""
        state = request.memo if isinstance(request.memo, State) else None
        tools = frozenset(tool.name for tool in request.tools)
        events: list[ReplyEvent] = []
        for message in _unanswered(request.messages, state):
            said, state = step(self._script, state, message, tools)
            if any(isinstance(event, TextDelta) for event in events) and said:
                events.append(TextDelta(" "))
            events.extend(said)
            _log.debug("script_step", explain=state.explain)
        if state is None:
            return
        # First, so that the state is not lost with a reply that the caller cuts short.
        yield Memo(state)
        for event in _in_order(events):
            if isinstance(event, TextDelta):
                for piece in pieces(event.text):
                    yield TextDelta(piece)
            else:
                yield event

    async def close(self) -> None:
        """Do nothing: the script holds no resources."""


def _unanswered(messages: Sequence[Message], state: State | None) -> list[Message | None]:
    """Pick what is new: the result that the script waits for, and the caller's last words.

    None = the script begins: with the call, or where another agent has led it so far.
    """
    is_asked = bool(messages) and isinstance(messages[-1], UserMessage)
    if not messages or (state is None and not is_asked):
        return [None]
    new: list[Message | None] = []
    if state and state.pending:
        wanted = state.pending.call_id
        new += [m for m in messages if isinstance(m, ToolResult) and m.call_id == wanted][-1:]
    if is_asked:
        new.append(messages[-1])
    return new


def _in_order(events: list[ReplyEvent]) -> list[ReplyEvent]:
    """Keep only the last expectation, or none beside a tool call: the rest was overtaken."""
    texts: list[ReplyEvent] = [event for event in events if isinstance(event, TextDelta)]
    last = [event for event in events if not isinstance(event, TextDelta)][-1:]
    return texts + last


def create(settings: Settings) -> LanguageModel:
    """Read the script.

    Raises:
        ConfigError: its faults, each with its line.
    """
    return ScriptModel(load_script(settings.file or FRONT_DESK))


def languages(settings: Settings) -> tuple[str, ...]:
    """Any, with a file; the front desk that comes with the gateway speaks English."""
    return () if settings.file else ("en",)


def probe() -> str:
    """Report what is missing: nothing ever is."""
    return ""
