"""What is known of the bot while a caller speaks over it."""

from __future__ import annotations

import pytest

from gateway.config.models import TurnConfig
from gateway.turn.barge_in_scene import BotSide
from gateway.turn.events import samples

REOPEN_MS = 600


def bot(*, protect_s: float = 0.0) -> BotSide:
    return BotSide(
        TurnConfig.model_validate({"reopen_ms": REOPEN_MS, "barge_in": {"protect_s": protect_s}})
    )


def test_it_may_be_interrupted_only_while_it_has_the_floor() -> None:
    side = bot()
    assert side.is_busy is False
    assert side.may_be_interrupted(0) is False
    side.takes_floor()
    assert side.may_be_interrupted(0) is True
    side.gives_floor()
    assert side.is_busy is False
    assert side.may_be_interrupted(0) is False


@pytest.mark.parametrize(("after_ms", "may"), [(0, False), (999, False), (1000, True)])
def test_the_first_speech_is_protected_for_a_time(after_ms: int, may: bool) -> None:
    side = bot(protect_s=1.0)
    side.takes_floor()
    side.says("Welcome to the hotel.", 800)
    assert side.may_be_interrupted(800 + samples(after_ms)) is may


def test_only_the_first_speech_is_protected() -> None:
    side = bot(protect_s=60.0)
    side.takes_floor()
    side.gives_floor()  # it has said nothing: the first speech is still to come
    side.takes_floor()
    assert side.may_be_interrupted(0) is False  # nor is it interrupted before that
    side.says("Welcome.", 0)
    assert side.may_be_interrupted(samples(100)) is False
    side.gives_floor()
    side.takes_floor()
    side.says("And now?", samples(2000))
    assert side.may_be_interrupted(samples(2100)) is True


def test_a_reply_to_a_turn_is_fresh_until_the_bot_gives_the_floor_back() -> None:
    side = bot()
    side.hears_turn()
    side.takes_floor()
    assert side.scene(0, "free").is_fresh is True
    side.says("Here it is.", 0)
    assert side.scene(samples(REOPEN_MS) - 1, "free").is_fresh is True
    assert side.scene(samples(REOPEN_MS), "free").is_fresh is False
    side.gives_floor()
    side.takes_floor()  # of its own accord: it answers no turn
    assert side.scene(samples(REOPEN_MS), "free").is_fresh is False


def test_a_question_asks_once_it_is_audible() -> None:
    side = bot()
    side.takes_floor()
    assert side.scene(0, "yes_no").asks is False
    side.says("Is that right? ", 0)
    assert side.scene(0, "free").asks is True
    side.says("I believe so.", samples(1000))
    assert side.scene(samples(1000), "free").asks is False
    assert side.scene(samples(1000), "yes_no").asks is True
