from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.turn.completeness import Look, Wanted, look


@pytest.mark.parametrize(
    "text",
    [
        "What are your opening hours?",
        "What drinks do you have?",
        "What can you do?",
        "Where are you from?",
        "What is this for?",
        "How many do I need?",
        "I would like a coffee.",
        "Goodbye!",
    ],
)
def test_a_finished_sentence_is_whole(text: str) -> None:
    assert look(text, None, Wanted()) == "whole"


@pytest.mark.parametrize(
    "text",
    [
        "What is the?",
        "Where are?",
        "Do you have?",
        "I would like to.",
        "What I want is.",
        "Can you tell me what you have",
        "And then,",
        "Well...",
    ],
)
def test_a_sentence_that_goes_on_is_unfinished(text: str) -> None:
    assert look(text, None, Wanted()) == "unfinished"


def test_a_question_is_no_dictation() -> None:
    assert look("What do you need?", None, Wanted("name")) == "whole"


@pytest.mark.parametrize(
    "text",
    ["I want a large.", "Get me a dark roast.", "A latte.", "I would like two.", "Make."],
)
def test_a_sentence_without_its_thing_is_doubtful(text: str) -> None:
    assert look(text, None, Wanted()) == "doubtful"


@pytest.mark.parametrize("text", ["Yes please.", "Hello.", "Stop!", "Thank you."])
def test_short_turns_are_whole(text: str) -> None:
    assert look(text, None, Wanted()) == "whole"


@pytest.mark.parametrize(
    ("text", "choice", "wanted", "expected"),
    [
        ("Opening hours", "opening hours", Wanted("choice"), "expected"),
        ("Yes.", None, Wanted("yes_no"), "expected"),
        ("Yes, and.", None, Wanted("yes_no"), "unfinished"),
        ("I would like a coffee.", None, Wanted("yes_no"), "whole"),
        ("John at.", None, Wanted("email"), "dictating"),
    ],
)
def test_the_answer_counts_first(
    text: str, choice: str | None, wanted: Wanted, expected: str
) -> None:
    assert look(text, choice, wanted) == expected


@given(st.text(min_size=1, max_size=60), st.none() | st.just("yes"))
def test_any_text_has_a_look(text: str, choice: str | None) -> None:
    assert look(text, choice, Wanted()) in get_args(Look)
