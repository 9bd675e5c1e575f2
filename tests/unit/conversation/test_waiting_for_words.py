"""Recognition takes its time: the caller hears that somebody is there."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.models import FillerConfig
from gateway.conversation.silence_budget import filler_texts
from tests.support.scene import Scene, text

FILLER = FillerConfig(after_ms=1000, every_ms=4000, first=("One moment.",))


def scene_of(heard, delay_s, **config):
    async def whole(scene):
        await scene.voice.render_ahead([*filler_texts(FILLER), "Sorry."])
        scene.recognizer.delay_s = delay_s
        await scene.says(2.0, 1.0)
        await asyncio.sleep(8)

    scene = Scene([text("Fine.")], heard, **{"filler": FILLER, "fallback": "Sorry.", **config})
    return scene.play(whole)


def said(scene):
    return [(e["text"], e["is_filler"]) for e in scene.data("bot_says")][1:]


def test_a_filler_comes_before_late_words_and_stands_in_the_turn():
    scene = scene_of(["How are you?"], delay_s=2.5)
    assert said(scene) == [("One moment.", True), ("Fine.", False)]
    assert scene.times("bot_says")[1] - 3.0 == pytest.approx(1.1, abs=0.2)
    turn = scene.notes.turns[-1]
    assert turn.fillers == ("One moment.",)
    assert turn.bot_text_heard == "Fine."
    assert turn.response_gap_ms == pytest.approx(1050, abs=250)
    assert turn.answer_gap_ms > 2000


def test_words_that_never_come_end_in_the_fallback():
    scene = scene_of([None], delay_s=0.1)
    assert said(scene)[:2] == [("One moment.", True), ("Sorry.", False)]


def test_none_where_words_come_in_time_or_fillers_are_off():
    assert said(scene_of(["How are you?"], delay_s=0.3)) == [("Fine.", False)]
    off = FillerConfig(after_ms=0)
    assert said(scene_of([None], 0.1, filler=off)) == [("Sorry.", False)]


def test_a_filler_that_is_being_heard_is_heard_to_its_end():
    long = FillerConfig(after_ms=1000, every_ms=4000, first=("One moment, please, I am thinking.",))

    async def whole(scene):
        await scene.voice.render_ahead(filler_texts(long))
        scene.recognizer.delay_s = 1.3  # the answer is there while the filler is heard
        await scene.says(2.0, 1.0)
        await asyncio.sleep(8)

    scene = Scene([text("Fine.")], ["How are you?"], filler=long).play(whole)
    assert said(scene) == [(long.first[0], True), ("Fine.", False)]
    turn = scene.notes.turns[-1]
    assert turn.bot_text_heard == "Fine."
    stretches = [(a, b) for a, b in scene.line.audible() if a > 3]
    whole_s = len(scene.voice.rendered(long.first[0])) * 0.02
    assert sum(b - a for a, b in stretches) > whole_s + 0.2
