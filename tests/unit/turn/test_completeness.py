import pytest

from gateway.turn.completeness import Wanted, look


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
