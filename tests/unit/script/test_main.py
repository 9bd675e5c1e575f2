from __future__ import annotations

import io
from pathlib import Path

import pytest

from gateway.script.__main__ import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, lines: str = "") -> int:
    monkeypatch.setattr("sys.argv", ["script", *arguments])
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    return main()


def test_a_dialogue_by_keyboard(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--explain", lines="an espresso\nno\nyes\nbye\n") == 0
    shown = capsys.readouterr().out
    assert "bot  An espresso, got it. Anything else?" in shown
    assert '[place_order {"items":' in shown
    assert "Your order number is" in shown
    assert "[intent goodbye 1.00 (phrase 'bye')]" in shown
    assert shown.rstrip().endswith("[hang_up {}]")


def test_the_end_of_the_input_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, lines="hello\n") == 0


def test_a_broken_script_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[main]\n")
    assert run(monkeypatch, str(path)) == 78
    assert "bad.toml:1: main.greeting: required key is missing" in capsys.readouterr().err


TOOLS = """
from gateway.conversation.function_tool import CallContext

async def who(call: CallContext, count: int) -> dict[str, object]:
    return {"name": call.caller, "next": count + 1}
"""
SCRIPT = """
[main]
greeting = "Hello."

[intents.who]
phrases = ["who"]
flow = "who"

[slots.count]
type = "quantity"
ask = "How many?"

[[flows.who.steps]]
ask = "count"
[[flows.who.steps]]
call = "who"
args = { count = "{count}" }
save = "found"
[[flows.who.steps]]
say = "You are {found.name} and {found.next}."
"""


def test_tools_get_the_call_and_values_of_their_types(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "tools_of_who.py").write_text(TOOLS)
    (tmp_path / "who.toml").write_text(SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    arguments = (str(tmp_path / "who.toml"), "--tools", "tools_of_who")
    assert run(monkeypatch, *arguments, lines="who\nthree\n") == 0
    assert "bot  You are keyboard and four." in capsys.readouterr().out
