"""Every event that is written is in the union, and what was recorded is read back as it was."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.call.events import (
    CLASSES,
    FORMER_FIELDS,
    HearingStarted,
    TurnFinished,
    UnknownEvent,
    fields_of,
    parsed,
)
from gateway.records.bundle_files import event_line, read_events
from gateway.records.model import TurnRecord
from gateway.turn.events import TurnEnded

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))
BUNDLES = sorted((ROOT / "tests" / "replay" / "bundles").iterdir())


def written() -> Iterator[str]:
    """Yield the place of each event that the source writes by name, not by its type."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in {"event", "note", "_note"} and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield f"{path.name}:{node.lineno}"


def test_no_event_is_written_by_its_name() -> None:
    assert not list(written())


def test_kinds_are_unique_and_snake_case() -> None:
    assert len(CLASSES) == len({one.__name__ for one in CLASSES.values()})
    assert all(kind.isidentifier() and kind == kind.lower() for kind in CLASSES)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_recorded_bundle_is_read_back_as_it_was(bundle: Path) -> None:
    unknown = set()
    for line in read_events(bundle / "events.jsonl"):
        event = parsed(line)
        if isinstance(event, UnknownEvent):
            unknown.add(event.kind)
            continue
        again = json.loads(event_line(event.kind, line["audio_s"], fields_of(event)))
        left_out = {"at", "onset_s"}  # `onset_s` is `onset` in seconds
        for name, value in line.items():
            if isinstance(event, TurnFinished) and name == "turn":
                assert event.turn == TurnRecord.model_validate(value)
            elif name not in left_out:
                now = FORMER_FIELDS.get(event.kind, {}).get(name, name)
                assert again[now] == _filled(again[now], value), name
    assert unknown <= {"eager_end"}  # of a version whose eager ends had no text


def _filled(now: Any, then: Any) -> Any:
    """Add the fields that a nested value has got since."""
    return {**now, **then} if isinstance(now, dict) and isinstance(then, dict) else then


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "of_a_later_version", "audio_s": 1.0, "detail": [1]},
        {"kind": "answered", "audio_s": 1.0, "codec": {"detail": [1]}},
        {"kind": "digit", "detail": [1]},
    ],
)
def test_what_is_not_known_stays_readable(line: dict[str, Any]) -> None:
    event = parsed(line)
    assert isinstance(event, UnknownEvent)
    assert event.kind == line["kind"]
    assert "detail" in str(event.data)


def test_fields_of_a_later_version_are_ignored() -> None:
    later = {"kind": "answered", "audio_s": 1.0, "codec": "PCMU", "band": "wide"}
    assert fields_of(parsed(later)) == {"codec": "PCMU"}  # type: ignore[arg-type]


def test_an_event_may_have_its_former_name() -> None:
    event = parsed({"kind": "ear_opened", "audio_s": 1.0, "now": 8000, "vad": "webrtcvad"})
    assert event == HearingStarted(now=8000, vad="webrtcvad")
    assert event.kind == "hearing_started"


def test_a_field_may_have_its_former_name() -> None:
    line = {"kind": "turn_ended", "now": 8, "onset": 0, "speech_end": 4, "text": "", "choice": None,
            "evidence": "whole", "waited_ms": 320.0, "stt_ms": 9.0, "patience_ms": 288}  # fmt: skip
    event = parsed(line)
    assert isinstance(event, TurnEnded)
    assert event.endpoint_delay_ms == 288
