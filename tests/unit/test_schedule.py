"""The order of a run with several workers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from tests.support.schedule import BUSY, LONGEST, longest_first

ROOT = Path(__file__).parents[1]


def test_calls_first_then_what_computes_and_the_longest_of_each_first():
    names = (
        "unit/test_schedule",
        "contract/test_tts",
        "integration/test_load",
        "integration/test_access",
        "wire/test_bridge",
        "integration/test_wire_truth",
    )
    items = [SimpleNamespace(path=ROOT / f"{name}.py") for name in names]
    longest_first(items)
    assert [item.path.stem for item in items] == [
        "test_wire_truth",
        "test_access",
        "test_bridge",
        "test_load",
        "test_tts",
        "test_schedule",
    ]


def test_the_files_that_are_named_exist():
    assert LONGEST.keys() | BUSY <= {path.name for path in ROOT.rglob("test_*.py")}
