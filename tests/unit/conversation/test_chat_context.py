from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.conversation.chat_context import ChatContext
from gateway.errors import TurnStateError
from gateway.providers.contracts import AssistantMessage, ToolCall, ToolResult, UserMessage

HOURS = ToolCall("c1", "hours", "{}")
MENU = ToolCall("c2", "menu", "{}")
OPEN = ToolResult("c1", "hours", '"9 to 5"')
SOUP = ToolResult("c2", "menu", '"soup"')


def asked() -> ChatContext:
    context = ChatContext("Be nice.")
    context.add_user("When are you open?")
    context.begin()
    return context


def test_a_reply_is_seen_whole_while_it_runs_and_as_heard_afterwards():
    context = asked()
    context.add_assistant("We are open from nine to five. Anything else?")
    assert context.messages()[1] == AssistantMessage(
        "We are open from nine to five. Anything else?"
    )
    context.commit("We are open from", interrupted=True)
    assert context.messages() == (
        UserMessage("When are you open?"),
        AssistantMessage("We are open from", interrupted=True),
    )


def test_an_interrupted_reply_that_nobody_heard_leaves_no_trace():
    context = asked()
    context.add_assistant("We are")
    context.keep_memo("later")
    context.commit("", interrupted=True)
    assert context.messages() == (UserMessage("When are you open?"),)
    assert context.memo is None


def test_a_reopened_turn_becomes_one_message():
    context = asked()
    context.commit("", interrupted=True)
    context.add_user("on Sunday", choice="sunday")
    assert context.messages() == (UserMessage("When are you open? on Sunday", "sunday"),)


def test_tools_that_ran_stay_though_nothing_was_heard():
    context = asked()
    context.add_assistant("Let me look.", (HOURS,))
    context.add_tool_results([OPEN])
    context.add_assistant("From nine to five.")
    context.commit("", interrupted=True)
    assert context.messages()[1:] == (AssistantMessage("", (HOURS,), interrupted=True), OPEN)


def test_calls_without_result_are_left_out_and_the_others_stay():
    context = asked()
    context.add_assistant("Let me look.", (HOURS, MENU))
    context.add_tool_results([SOUP])
    context.commit("Let me", interrupted=True)
    assert context.messages()[1:] == (AssistantMessage("Let me", (MENU,), interrupted=True), SOUP)


def test_unfinished_calls_alone_leave_no_message():
    context = asked()
    context.add_assistant("", (HOURS,))
    context.commit("", interrupted=True)
    assert context.messages() == (UserMessage("When are you open?"),)


@pytest.mark.parametrize(
    ("heard", "first", "second"),
    [
        ("Let me look. It is nine to five.", "Let me look.", "It is nine to five."),
        ("Let me look. It is", "Let me look.", "It is"),
        ("Let me look.", "Let me look.", None),
        ("Let me", "Let me", None),
        ("", "", None),
    ],
)
def test_what_was_heard_is_spread_over_the_messages(heard: str, first: str, second: str | None):
    context = asked()
    context.add_assistant("*Let me look*. ", (HOURS,))
    context.add_tool_results([OPEN])
    context.add_assistant("It is **nine to five**.")
    context.commit(heard)
    said = [m.text for m in context.messages() if isinstance(m, AssistantMessage)]
    assert said == [first] + ([second] if second is not None else [])


def test_results_follow_a_silent_call_before_the_first_word():
    context = asked()
    context.add_assistant("", (HOURS,))
    context.add_tool_results([OPEN])
    context.add_assistant("Nine to five.")
    context.commit("Nine to five.")
    assert [type(m) for m in context.messages()[1:]] == [
        AssistantMessage,
        ToolResult,
        AssistantMessage,
    ]
    assert context.messages()[-1] == AssistantMessage("Nine to five.")


def test_a_memo_lasts_when_the_reply_is_committed_and_goes_with_a_dropped_one():
    context = asked()
    context.add_assistant("Hello")
    context.keep_memo("one")
    assert context.memo == "one"
    context.commit("Hello")
    context.begin()
    context.keep_memo("two")
    context.drop()
    assert context.memo == "one"


def test_a_finished_reply_without_words_keeps_its_memo():
    context = asked()
    context.keep_memo("waiting")
    context.commit("")
    assert context.memo == "waiting"


def test_snapshot_and_restore_undo_speculation():
    context = ChatContext("")
    context.add_user("I would like")
    before = context.snapshot()
    context.begin()
    context.add_assistant("Yes?")
    context.keep_memo("x")
    context.restore(before)
    assert context._reply is None
    assert context.messages() == (UserMessage("I would like"),)
    assert context.memo is None


def test_prompts_outside_of_a_reply_are_what_was_heard():
    context = ChatContext("")
    context.add_assistant("Hello, this is", interrupted=True)
    context.add_assistant("")
    assert context.messages() == (AssistantMessage("Hello, this is", interrupted=True),)


def test_the_oldest_are_dropped_from_one_caller_turn_to_another():
    context = ChatContext("", max_messages=4)
    context.add_assistant("Welcome.")
    for n in range(4):
        context.add_user(f"q{n}")
        context.begin()
        context.add_assistant(f"a{n}")
        context.commit(f"a{n}")
    texts = [m.text for m in context.messages() if not isinstance(m, ToolResult)]
    assert texts == ["q2", "a2", "q3", "a3"]


def test_a_tool_call_and_its_results_are_never_split():
    context = ChatContext("", max_messages=2)
    context.add_user("q")
    context.begin()
    context.add_assistant("", (HOURS, MENU))
    context.add_tool_results([OPEN, SOUP])
    assert context.messages() == (AssistantMessage("", (HOURS, MENU)), OPEN, SOUP)


@pytest.mark.parametrize("misuse", ["user", "begin", "commit", "drop", "memo", "result"])
def test_misuse_is_our_bug(misuse: str):
    context = asked()
    if misuse in {"commit", "drop", "memo"}:
        context.drop()
    steps = {
        "user": lambda: context.add_user("x"),
        "begin": context.begin,
        "commit": lambda: context.commit("x"),
        "drop": context.drop,
        "memo": lambda: context.keep_memo(1),
        "result": lambda: context.add_tool_results([OPEN]),
    }
    with pytest.raises(TurnStateError):
        steps[misuse]()


@given(st.lists(st.text("ab *.", max_size=12), min_size=1, max_size=4), st.data())
def test_heard_words_are_neither_lost_nor_doubled(parts: list[str], data: st.DataObject):
    heard = " ".join(" ".join(parts).split())
    heard = heard[: data.draw(st.integers(0, len(heard)))]
    context = ChatContext("", 100)
    context.begin()
    for number, part in enumerate(parts):
        call = ToolCall(f"c{number}", "t", "{}")
        context.add_assistant(part, (call,))
        context.add_tool_results([ToolResult(call.id, "t", "1")])
    context.commit(heard, interrupted=True)
    said = " ".join(m.text for m in context.messages() if isinstance(m, AssistantMessage))
    assert "".join(said.split()) == "".join(heard.split())


class AnyTalk(RuleBasedStateMachine):
    """Whatever happens in whatever order, every request is one that servers accept."""

    LIMIT = 5

    def __init__(self) -> None:
        super().__init__()
        self.context = ChatContext("", self.LIMIT)
        self.said = ""
        self.open: list[ToolCall] = []
        self.calls = 0
        self.longest_round = 1

    @precondition(lambda self: self.context._reply is None)
    @rule(text=st.sampled_from(["yes", "no", "two coffees"]))
    def the_caller_speaks(self, text: str) -> None:
        self.context.add_user(text)
        self.open = []

    @precondition(lambda self: self.context._reply is None)
    @rule(text=st.sampled_from(["", "Hello.", "Are you there?"]), interrupted=st.booleans())
    def a_prompt(self, text: str, interrupted: bool) -> None:
        self.context.add_assistant(text, interrupted=interrupted)
        self.open = self.open if not text else []

    @precondition(lambda self: self.context._reply is None)
    @rule()
    def a_reply_begins(self) -> None:
        self.context.begin()
        self.said, self.open = "", []

    @precondition(lambda self: self.context._reply is not None)
    @rule(text=st.sampled_from(["", "One moment.", "It is *nine*."]), calls=st.integers(0, 3))
    def the_model_answers(self, text: str, calls: int) -> None:
        self.open = [ToolCall(f"c{self.calls + n}", "t", "{}") for n in range(calls)]
        self.calls += calls
        self.context.add_assistant(text, self.open)
        self.said = f"{self.said} {text.replace('*', '')}".strip()
        self.longest_round = max(self.longest_round, 1 + calls)

    @precondition(lambda self: self.open and self.context._reply is not None)
    @rule(count=st.integers(1, 3))
    def tools_end(self, count: int) -> None:
        done, self.open = self.open[:count], self.open[count:]
        self.context.add_tool_results([ToolResult(call.id, "t", "1") for call in done])

    @precondition(lambda self: self.context._reply is not None)
    @rule(part=st.floats(0, 1), interrupted=st.booleans())
    def the_reply_ends(self, part: float, interrupted: bool) -> None:
        heard = self.said[: int(len(self.said) * part)] if interrupted else self.said
        self.context.commit(heard, interrupted=interrupted)

    @precondition(lambda self: self.context._reply is not None)
    @rule()
    def the_reply_is_dropped(self) -> None:
        self.context.drop()

    @rule()
    def a_detour(self) -> None:
        before, seen = self.context.snapshot(), self.context.messages()
        if self.context._reply is not None:
            self.context.drop()
        self.context.add_user("never mind")
        self.context.restore(before)
        assert self.context.messages() == seen

    @invariant()
    def every_call_has_its_result_and_every_result_its_call(self) -> None:
        open_ids: list[str] = []
        for message in self.context.messages():
            if isinstance(message, ToolResult):
                assert message.call_id in open_ids
                open_ids.remove(message.call_id)
            else:
                assert not open_ids
                calls = message.tool_calls if isinstance(message, AssistantMessage) else ()
                open_ids = [call.id for call in calls]
        assert not open_ids

    @invariant()
    def it_is_bounded_and_begins_with_somebody(self) -> None:
        messages = self.context.messages()
        assert len(messages) <= max(self.LIMIT, self.longest_round)
        assert not messages or not isinstance(messages[0], ToolResult)

    @invariant()
    def the_caller_never_speaks_twice_in_a_row(self) -> None:
        messages = self.context.messages()
        for one, two in pairwise(messages):
            assert not (isinstance(one, UserMessage) and isinstance(two, UserMessage))


TestAnyTalk = AnyTalk.TestCase


STILL = ToolResult("c1", "hours", "{}", is_running=True)


def left_running(context: ChatContext) -> None:
    """The reply in progress is cut while its tool runs."""
    context.add_assistant("", (HOURS,))
    context.add_tool_results([STILL])
    context.commit("", interrupted=True)


def test_a_late_result_does_not_take_the_place_of_a_newer_call_of_its_id():
    """Some servers count calls anew with each request."""
    newer = ToolResult("c1", "hours", '"closed"')
    context = asked()
    left_running(context)
    context.settle(OPEN)
    for text in ("And on Sunday?", "And on Monday?"):
        context.add_user(text)
        context.begin()
        context.add_assistant("", (HOURS,))
        context.add_tool_results([newer])
        context.commit("We are closed.")
    results = [m for m in context.messages() if isinstance(m, ToolResult)]
    assert results == [OPEN, newer, newer]


def test_a_result_that_comes_after_a_newer_call_of_its_id_finds_its_own():
    context = asked()
    left_running(context)
    context.add_user("And now?")
    context.begin()
    context.add_assistant("", (HOURS,))
    newer = ToolResult("c1", "hours", '"closed"')
    context.add_tool_results([newer])
    context.settle(OPEN)
    context.commit("Closed.")
    assert [m for m in context.messages() if isinstance(m, ToolResult)] == [OPEN, newer]


@pytest.mark.parametrize("way", ["restore", "commit", "drop"])
def test_a_result_that_comes_during_a_reply_is_known_whatever_becomes_of_that(way):
    context = asked()
    left_running(context)
    before = context.snapshot()
    context.add_user("And on Sunday?")
    context.begin()
    context.settle(OPEN)
    if way == "restore":
        context.restore(before)
    elif way == "commit":
        context.commit("Closed.")
    else:
        context.drop()
    assert OPEN in context.messages()
    assert context.has_untold
