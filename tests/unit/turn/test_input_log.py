"""Every input of the turn taker is in its log, in order and with the audio heard by then."""

from __future__ import annotations

import inspect

from gateway.config.models import TurnConfig
from gateway.turn.completeness import Wanted
from gateway.turn.input_log import TurnInput, is_turn_input
from gateway.turn.taker import TurnTaker


def public_methods():
    for name, member in inspect.getmembers(TurnTaker, inspect.isfunction):
        if not name.startswith("_"):
            yield name, member


def test_every_method_but_hear_is_an_input():
    """Audio comes from the recording; whatever else is told must be on the inputs."""
    assert {name for name, method in public_methods() if not is_turn_input(method)} == {"hear"}


def test_inputs_come_with_their_names_and_what_was_heard():
    taker, inputs = TurnTaker(TurnConfig(), 8.0), []
    taker.log_input = inputs.append
    taker.expect(Wanted("digits", 4))
    taker.hear([], 160)
    taker.bot_busy(160, busy=True)
    taker.transcript("Two", None, covers=100, now=160)
    assert taker.drop_turn() is False
    assert inputs == [
        TurnInput("expect", 0, {"wanted": Wanted("digits", 4)}),
        TurnInput("bot_busy", 160, {"now": 160, "busy": True}),
        TurnInput("transcript", 160, {"text": "Two", "choice": None, "covers": 100, "now": 160}),
        TurnInput("drop_turn", 160, {}),
    ]


def test_audio_that_was_not_heard_is_in_the_log():
    taker, inputs = TurnTaker(TurnConfig(), 8.0), []
    taker.log_input = inputs.append
    for now in (480, 640, 800, 1600, 1760):
        taker.hear([], now)
    assert inputs == [TurnInput("hear", 0, {"now": 480}), TurnInput("hear", 800, {"now": 1600})]
