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
    assert "bad.toml:1: main.greeting: Field required" in capsys.readouterr().err
