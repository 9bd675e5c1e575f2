"""Talk to a script by keyboard: `python -m gateway.script [FILE] [--tools MODULE]`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from gateway.conversation.function_tool import CallContext, FunctionTool
from gateway.errors import ConfigError, ToolError
from gateway.providers.contracts import Message, TextDelta, ToolCall, ToolResult, UserMessage
from gateway.script.engine import step
from gateway.script.flow import ENDING_TOOLS
from gateway.script.loader import FRONT_DESK, load_script
from gateway.script.model import Script
from gateway.script.state import State

Tools = Mapping[str, Callable[..., object]]
_CALL = CallContext("keyboard", "keyboard", "script", "script")


def main() -> int:
    """Run until the script hangs up or the input ends."""
    parser = argparse.ArgumentParser(prog="python -m gateway.script", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FRONT_DESK, help="a script (TOML)")
    parser.add_argument(
        "--tools", default="gateway.script.examples.front_desk_tools", help="module of tools"
    )
    parser.add_argument("--explain", action="store_true", help="say why something was understood")
    options = parser.parse_args()
    try:
        script = load_script(options.file)
    except ConfigError as exc:
        sys.stderr.write(f"{exc}\n")
        return 78
    _talk(
        script,
        dict(inspect.getmembers(importlib.import_module(options.tools), inspect.isfunction)),
        options,
    )
    return 0


def _talk(script: Script, tools: Tools, options: argparse.Namespace) -> None:
    state: State | None = None
    message: Message | None = None
    while True:
        events, state = step(script, state, message)
        for event in events:
            if isinstance(event, TextDelta):
                _show(f"bot  {event.text}")
        if options.explain and state.explain:
            _show(f"     [{state.explain}]")
        call = next((event for event in events if isinstance(event, ToolCall)), None)
        if call and call.name in ENDING_TOOLS:
            _show(f"     [{call.name} {call.arguments}]")
            return
        try:
            message = _run(tools, call) if call else UserMessage(input("you  ").strip())
        except EOFError:
            return


def _show(line: str) -> None:
    sys.stdout.write(line + "\n")


def _run(tools: Tools, call: ToolCall) -> ToolResult:
    _show(f"     [{call.name} {call.arguments}]")
    if call.name not in tools:
        return ToolResult(call.id, call.name, '{"error": "no such tool"}', is_error=True)
    try:
        content = json.dumps(_result(tools[call.name], call.arguments), default=vars)
    except (ToolError, TypeError, ValueError) as exc:  # pydantic's is a ValueError
        return ToolResult(call.id, call.name, json.dumps({"error": str(exc)}), is_error=True)
    return ToolResult(call.id, call.name, content)


def _result(function: Callable[..., object], arguments: str) -> object:
    """Call a tool as a call does: with arguments of its types, and the call if it wants it."""
    tool = FunctionTool.of(function)
    context = (_CALL,) if tool.takes_context else ()
    result = function(*context, **tool.bind(arguments))
    return asyncio.run(_awaited(result)) if inspect.iscoroutine(result) else result


async def _awaited(result: Coroutine[object, object, object]) -> object:
    return await result


if __name__ == "__main__":
    sys.exit(main())
