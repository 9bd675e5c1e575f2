"""Talk to a script by keyboard: `python -m gateway.script [FILE] [--tools MODULE]`."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.errors import ConfigError
from gateway.providers.contracts import Message, TextDelta, ToolCall, ToolResult, UserMessage
from gateway.script.engine import step
from gateway.script.flow import ENDING_TOOLS
from gateway.script.loader import FRONT_DESK, load_script
from gateway.script.model import Script
from gateway.script.state import State

Tools = Mapping[str, Callable[..., object]]


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
        result = tools[call.name](**json.loads(call.arguments))
    except (TypeError, ValueError) as exc:
        return ToolResult(call.id, call.name, json.dumps({"error": str(exc)}), is_error=True)
    return ToolResult(call.id, call.name, json.dumps(result, default=vars))


if __name__ == "__main__":
    sys.exit(main())
