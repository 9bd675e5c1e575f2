"""What docs/style.md refuses is in no documentation, comment or docstring."""

from __future__ import annotations

import pytest

from deploy import words


def test_none_of_the_phrases_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert words.main() == 0, capsys.readouterr().out


def test_phrases_are_found_with_their_line() -> None:
    refused = words.phrases()
    assert {"so long", "nobody", "who is", "breath"} <= set(refused)
    text = "It is fine.\nNobody knows how so long a breath lasts, whose isotope is whole."
    assert list(words.found(words.whole(text), {"nobody": "", "so long": "", "so": ""})) == [
        (2, "nobody"),
        (2, "so long"),
        (2, "so"),
    ]


def test_of_a_program_comments_and_docstrings_are_checked() -> None:
    program = 'def ring():\n    """Nobody\n    answers."""\n    x = "nobody"  # nobody\n'
    refused = {"nobody": "", "answers": ""}
    assert sorted(words.found(words.remarks(program), refused)) == [
        (2, "nobody"),
        (3, "answers"),
        (4, "nobody"),
    ]


def test_of_configuration_comments_are_checked() -> None:
    text = 'said = "nobody answers"  # nobody\n# somebody'
    refused = {"nobody": "", "answers": "", "somebody": ""}
    assert list(words.found(words.comments(text), refused)) == [(1, "nobody"), (2, "somebody")]
