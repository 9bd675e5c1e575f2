from __future__ import annotations

import copy
import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.providers.contracts import Message, ToolCall, ToolResult, UserMessage
from gateway.script.engine import Event, step
from gateway.script.loader import FRONT_DESK, load_script
from gateway.script.model import Slot
from gateway.script.slots import extract
from gateway.script.speech import pieces
from gateway.script.state import State

SCRIPT = load_script(FRONT_DESK)
LINES = (
    "order", "two large lattes and a tea", "make it three", "no", "yes", "that's all", "small",
    "cancel that", "opening hours", "sunday", "message", "Anna", "555 0199", "five five", "what",
    "repeat that", "never mind", "operator", "goodbye", "1", "#", "0", "", "a mocha instead",
    "the name", "call me {caller} back", "start over", "help", "remove the tea",
)  # fmt: skip
words = st.one_of(st.sampled_from(LINES), st.text(max_size=60))
turns = st.lists(
    st.tuples(words, st.sampled_from([None, "yes", "no", "large", "order drinks"]), st.booleans()),
    max_size=10,
)


def _talk(
    script_turns: list[tuple[str, str | None, bool]],
) -> list[tuple[tuple[Event, ...], State]]:
    """Run a dialogue; the flag of a turn says whether its tools fail."""
    out = [step(SCRIPT, None, None)]
    for text, choice, is_error in script_turns:
        message: Message = UserMessage(text, choice)
        for _ in range(10):
            events, state = step(SCRIPT, out[-1][1], message)
            out.append((events, state))
            if not isinstance(events[-1], ToolCall):
                break
            call = events[-1]
            message = ToolResult(call.id, call.name, '{"number": 5}', is_error)
        else:
            raise AssertionError("tools are called for ever")
    return out


@settings(max_examples=60, deadline=None)
@given(turns)
def test_any_dialogue_runs_and_a_replay_is_the_same(
    said: list[tuple[str, str | None, bool]],
) -> None:
    first = _talk(said)
    assert _talk(said) == first
    ids = [event.id for events, _ in first for event in events if isinstance(event, ToolCall)]
    assert len(ids) == len(set(ids))


@settings(max_examples=30, deadline=None)
@given(turns, words)
def test_a_state_is_a_value(said: list[tuple[str, str | None, bool]], more: str) -> None:
    state = _talk(said)[-1][1]
    before = copy.deepcopy(state)
    reply = step(SCRIPT, state, UserMessage(more))
    assert state == before
    assert hash(state) == hash(before)
    stored = pickle.loads(pickle.dumps(state))  # noqa: S301
    assert step(SCRIPT, stored, UserMessage(more)) == reply


KINDS = (
    "digits",
    "phone_number",
    "time",
    "yes_no",
    "quantity",
    "name",
    "spelling",
    "email",
    "text",
)


@given(st.sampled_from(KINDS),
       st.one_of(st.text(), st.text("0123456789:, toforhalfpast", max_size=40)))  # fmt: skip
def test_extractors_take_any_text(kind: str, text: str) -> None:
    found = extract(Slot.model_validate({"type": kind, "ask": "?"}), text)
    assert found is None or found


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text.lstrip()
