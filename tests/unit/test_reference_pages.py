"""`docs/reference` says what the code says."""

from __future__ import annotations

from tests.support.reference_pages import pages


def test_the_pages_are_those_that_the_models_make() -> None:
    stale = [
        path.name
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, f"{stale}: run `make reference` (python -m tests.support.reference_pages)"
