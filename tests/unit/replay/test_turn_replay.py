"""With unchanged settings a replay decides as the call did; checked over many calls."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.config.models import BargeInConfig, SilenceConfig, TurnConfig
from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import Expect, TextDelta
from gateway.replay.recording import read_recording
from gateway.replay.turn_replay import decide_again, first_difference
from gateway.replay.what_if import what_if
from gateway.turn.events import TurnEvent
from tests.support.recorded_call import heard_again, record_call

DEAF = BargeInConfig(interruptible=False)
PATIENT = TurnConfig(eager_ms=160, whole_ms=480)
LONG = [TextDelta("This is a rather long answer that takes its time. And there is more of it.")]
DIGITS = [TextDelta("Your number?"), Expect("digits", digits=4)]
QUIET = SilenceConfig(reprompt_after_s=2.0)


def check(folder):
    """Replay a bundle; gives the kinds of its decisions."""
    recording = read_recording(folder)
    chunks = heard_again(recording)
    kinds = []
    for talk in recording.talks:
        again = decide_again(talk, chunks)
        assert first_difference(talk.decisions, again) is None
        assert [d.fields for d in again] == [d.fields for d in talk.decisions]
        assert decide_again(talk, chunks) == again
        assert what_if(talk, chunks, talk.settings).decisions == again
        kinds += [decision.kind for decision in again]
    assert not recording.remarks
    return kinds


async def answer(stage):
    await stage.says(2, 1.0)
    await stage.until(8)


async def barge_in(stage):
    await stage.says(2, 1.0)
    await stage.says(6, 0.8)
    await stage.until(12)


async def nod(stage):
    await stage.says(2, 1.0)
    await stage.says(6, 0.3)
    await stage.until(12)


async def pauses(stage):
    for at_s in (2, 2.8, 3.5):
        await stage.says(at_s, 0.5)
    await stage.until(9)


async def keys(stage):
    await stage.says(2, 0.6)
    await stage.press(2.3, "1")
    await stage.says(6, 0.7)
    await stage.press(10, "2")
    await stage.until(12)


async def hold(stage):
    await stage.says(2, 1.0)
    await stage.says(4.1, 3.0)
    await stage.hold(4.3, 1.5)
    await stage.says(8, 1.0)
    await stage.hold(10, 3)
    await stage.until(14)


async def hold_to_the_end(stage):
    await stage.says(2, 1.0)
    await stage.hold(2.5, 30)


async def nothing(stage):
    await stage.until(40)


CALLS = {
    "answer": (answer, {"heard": ["How are you?"], "replies": [LONG]}),
    "barge_in": (barge_in, {"heard": ["How are you?", "Stop."], "replies": [LONG, LONG]}),
    "barge_in_off": (barge_in, {"heard": ["So.", "Stop."], "turn": TurnConfig(barge_in=DEAF)}),
    "nod": (nod, {"heard": ["How are you?", "Uh-huh."], "replies": [LONG]}),
    "noise": (barge_in, {"heard": ["", ""], "replies": [LONG]}),
    "pauses": (pauses, {"heard": ["I want the"], "replies": [LONG]}),
    "patience": (pauses, {"heard": ["I want tea."], "replies": [LONG], "turn": PATIENT}),
    "keys": (keys, {"heard": ["I", "What?"], "replies": [DIGITS, LONG]}),
    "hold": (hold, {"heard": ["What?", "Hm", "Again."], "replies": [LONG, LONG]}),
    "hold_to_the_end": (hold_to_the_end, {"heard": ["What?"]}),
    "silence": (nothing, {"silence": QUIET}),
    "no_transcript": (answer, {"heard": [None]}),
    "failed": (barge_in, {"heard": [ProviderUnavailable("acme", "is down"), "Stop."]}),
    "late": (pauses, {"heard": ["Well.", "So."], "lag_s": 1.0, "replies": [LONG]}),
    "endless": (answer, {"heard": ["On."], "turn": TurnConfig(max_turn_s=0.5)}),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_same_decisions_come_out(tmp_path, name):
    script, scene = CALLS[name]
    kinds = check(record_call(tmp_path, script, **scene))
    assert kinds


def test_every_kind_of_decision_is_tried(tmp_path):
    found = set()
    for name, (script, scene) in CALLS.items():
        found |= set(check(record_call(tmp_path / name, script, **scene)))
    assert found == {event.kind for event in get_args(TurnEvent)}


MOMENT = st.tuples(
    st.floats(0.1, 3.0),
    st.sampled_from(["says", "says", "says", "press", "hold"]),
    st.floats(0.1, 2),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@example(moments=[(1.0, "says", 0.5), (1.0, "says", 0.5)], heard=["Yes."], lag_s=0.2)
@example(
    moments=[(1.0, "says", 1.0), (1.0, "says", 1.0), (2.0, "says", 0.5)], heard=["Yes."], lag_s=0.2
)
@given(
    moments=st.lists(MOMENT, max_size=6),
    heard=st.lists(st.sampled_from(["Yes.", "and", "", None, "five five"]), max_size=6),
    lag_s=st.sampled_from([0.02, 0.2, 1.5]),
)
def test_any_call_is_replayed_exactly(tmp_path_factory, moments, heard, lag_s):
    async def script(stage):
        at_s = 0.0
        for wait_s, what, for_s in moments:
            at_s += wait_s
            if what == "press":
                await stage.press(at_s, "5")
            else:
                await getattr(stage, what)(at_s, for_s)
        await stage.until(at_s + 6)

    replies = [LONG, DIGITS, LONG, DIGITS]
    folder = record_call(
        tmp_path_factory.mktemp("call"),
        script,
        replies=replies,
        heard=heard,
        lag_s=lag_s,
        silence=QUIET,
    )
    check(folder)
