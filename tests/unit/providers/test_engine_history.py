"""A conversation in words, for engines that take no history."""

from gateway.providers.contracts import AssistantMessage, ToolCall, ToolResult, UserMessage
from gateway.providers.kit.engine_history import note, transcript


def test_a_transcript():
    found = transcript([
        AssistantMessage("Good evening."),
        UserMessage("12", typed="ended"),
        AssistantMessage("", (ToolCall("c", "look_up", '{"id": 12}'),)),
        ToolResult("c", "look_up", '"Ann"'),
        AssistantMessage("Hello Ann, we have,", interrupted=True),
        UserMessage(" "),
    ]).splitlines()  # fmt: skip
    assert found[0].startswith("The conversation so far")
    assert "cut off there by the caller" in found[1]
    assert found[2:] == [
        "You: Good evening.",
        "Caller: The caller typed 12.",
        'You called look_up({"id": 12})',
        'look_up returned "Ann"',
        "You: Hello Ann, we have…",
    ]


def test_nothing_was_said():
    assert transcript([]) == ""
    assert transcript([UserMessage("")]) == ""
    assert note([UserMessage(""), AssistantMessage("")]) == ""


def test_a_note():
    told = [UserMessage("5", typed="paused"), AssistantMessage("Please wait.")]
    assert note(told) == 'The caller typed 5.\nYou have said to the caller: "Please wait."'
