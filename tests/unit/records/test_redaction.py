"""Redaction: what is not to be kept is gone before anything is written, whatever the hook does."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.errors import ConfigError
from gateway.records.bundle_files import read_call, read_events
from gateway.records.model import CallRecord, ToolUse, TurnRecord
from gateway.records.redaction import FAILED, NUMBER, Redactor, load_redactor, numbers
from gateway.records.store import CallRecords

START = datetime(2026, 11, 20, 13, 22, 33, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("call me on +49 30 1234567 please", f"call me on {NUMBER} please"),
        ("it is 4111-1111-1111-1111, till 12/27", f"it is {NUMBER}, till 12/27"),
        ("card4111111111111111x", f"card{NUMBER}x"),
        ("4111\u20131111\u20131111", NUMBER),
        ("four one one one, one two three four", NUMBER),
        ("my number is oh three oh, double five six seven eight.", f"my number is {NUMBER}."),
        ("(030) 1234567", NUMBER),
        ("a table for four at 19:30", "a table for four at 19:30"),
        ("that is 1,250 euros and 99 cents", "that is 1,250 euros and 99 cents"),
        ("room 101, floor 3", "room 101, floor 3"),
        ("twenty twenty six", "twenty twenty six"),
        ("", ""),
        ("no one at all", "no one at all"),
    ],
)
def test_numbers(text: str, kept: str) -> None:
    assert numbers(text) == kept


def test_no_text_takes_for_ever() -> None:
    assert numbers("1 " * 5000 + "a" + "one-" * 5000).count(NUMBER) == 2


@given(st.text(alphabet="0123456789 -./()", min_size=7, max_size=40))
def test_seven_digits_never_pass(text: str) -> None:
    digits = sum(char.isdigit() for char in text)
    left = sum(char.isdigit() for char in numbers(f"it is {text}."))
    assert left == 0 if digits >= 7 else left == digits


def written(tmp_path: Path, hook: object) -> tuple[bytes, CallRecord]:
    """Everything of a bundle in which "secret" was said at every place there is."""
    records = CallRecords(tmp_path, redactor=Redactor(hook))
    record = CallRecord(call_id=records.new_call_id(), direction="in", started_at=START)
    bundle = records.open(record)
    bundle.event("say", 0.0, text="secret", nested={"secret": [("secret",)]}, digit="7")
    turn = TurnRecord(
        index=0, caller_text="secret", bot_text_generated="secret", bot_text_heard="secret",
        fillers=("secret",), error="secret",
        tools=(ToolUse(name="look_up", arguments="secret", result="secret"),),
    )  # fmt: skip
    kept = bundle.turn(turn, 1.0)
    finished = bundle.record.model_copy(update={"turns": (kept,)})
    last = bundle.finish(finished.ended(START, "bot_hung_up", "said secret"))
    content = b"".join(path.read_bytes() for path in bundle.folder.iterdir())
    assert read_call(bundle.folder) == last
    (said, *_) = read_events(bundle.folder / "events.jsonl")
    assert (said["kind"], said["digit"]) == ("say", "*")
    return content, last


def test_every_text_goes_through_the_hook(tmp_path: Path) -> None:
    content, record = written(tmp_path, lambda text: text.replace("secret", "public"))
    assert b"secret" not in content
    assert record.turns[0].tools[0].name == "look_up"
    assert [line.text for line in record.transcript] == ["public"] * 3
    assert record.end_text == "said public"


def raises(text: str) -> str:
    raise ValueError(f"cannot redact {text}")


@pytest.mark.parametrize("hook", [raises, lambda _text: None, lambda text: text.encode()])
def test_a_hook_that_fails_lets_nothing_through(tmp_path: Path, hook: object) -> None:
    with capture_logs() as logs:
        content, record = written(tmp_path, hook)
    assert b"secret" not in content
    assert record.turns[0].caller_text == FAILED
    assert [entry["event"] for entry in logs] == ["redaction_failed"]
    assert "secret" not in repr(logs)


def test_failures_are_counted() -> None:
    failures: list[int] = []
    redactor = Redactor(raises, lambda: failures.append(1))
    assert [redactor.text(text) for text in ("a", "b", "")] == [FAILED, FAILED, ""]
    assert len(failures) == 2


def test_a_hook_is_loaded_from_a_file_or_module(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def hide(text):\n    return 'x'\n")
    mine = load_redactor("mine.py:hide", tmp_path)
    assert mine is not None
    assert mine.text("anything") == "x"
    built_in = load_redactor("gateway.records.redaction:numbers", tmp_path)
    assert built_in is not None
    assert built_in.text("0123456789") == NUMBER
    assert load_redactor("", tmp_path) is None


@pytest.mark.parametrize("reference", ["missing.py:f", "gateway.records.redaction:nothing", "x"])
def test_a_hook_that_is_not_there_is_a_configuration_error(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ConfigError, match=r"records\.redact"):
        load_redactor(reference, tmp_path)
