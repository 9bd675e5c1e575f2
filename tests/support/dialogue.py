"""Talks to a script: caller lines in, bot lines out, tools really run."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping
from textwrap import dedent

from gateway.providers.contracts import (
    Expect,
    Message,
    TextDelta,
    ToolCall,
    ToolResult,
    UserMessage,
)
from gateway.script.engine import step
from gateway.script.loader import parse_script
from gateway.script.model import Script
from gateway.script.state import State

Tools = Mapping[str, Callable[..., object]]


def script_of(toml: str) -> Script:
    return parse_script(dedent(toml), "test.toml")


class Dialogue:
    """One call."""

    def __init__(
        self, script: Script, tools: Tools | None = None, listed: Collection[str] | None = None
    ) -> None:
        self.script = script
        builtins = {"hang_up": lambda: None, "transfer_call": lambda target: target}
        self.tools = {**builtins, **(tools or {})}
        self.listed = listed
        self.state: State | None = None
        self.calls: list[tuple[str, dict[str, object]]] = []
        self.expect = Expect()
        self.greeting = self._step(None)

    def say(self, text: str, choice: str | None = None) -> str:
        """Say a line and return all that the bot answers, over its tool calls."""
        return self._step(UserMessage(text, choice))

    def _step(self, message: Message | None) -> str:
        said: list[str] = []
        while True:
            events, self.state = step(self.script, self.state, message, self.listed)
            said += [event.text for event in events if isinstance(event, TextDelta)]
            *_, last = events
            if isinstance(last, Expect):
                self.expect = last
                return " ".join(said)
            assert isinstance(last, ToolCall)
            message = self._run(last)

    def _run(self, call: ToolCall) -> ToolResult:
        arguments = json.loads(call.arguments)
        self.calls.append((call.name, arguments))
        tool = self.tools[call.name]
        try:
            inspect.signature(tool).bind(**arguments)
            return ToolResult(call.id, call.name, json.dumps(tool(**arguments)))
        except (TypeError, ValueError) as error:
            return ToolResult(call.id, call.name, json.dumps({"error": str(error)}), is_error=True)
