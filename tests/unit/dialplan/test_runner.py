"""Dialplan steps on a line that follows a script, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.audio.format import LINE
from gateway.audio.wav import write_wav
from gateway.config.dialplans import Context, Dialplan
from gateway.config.models import AgentConfig, SilenceConfig
from gateway.conversation.agent import Agent
from gateway.conversation.ear import Ear
from gateway.conversation.line import Digit, Resumed
from gateway.conversation.live_call import LiveCall, SayRequest
from gateway.conversation.tools import ToolBox
from gateway.conversation.voice import Voice
from gateway.dialplan.router import route
from gateway.dialplan.runner import MAX_JUMPS, Runner
from gateway.dialplan.steps import StepScope
from gateway.errors import ProviderUnavailable, TransferFailed
from gateway.telemetry.metrics import Metrics
from tests.support.fake_line import (
    SPEECH,
    FakeLine,
    LevelDetector,
    NoteBook,
    ScriptedBrain,
    ScriptedRecognizer,
    ScriptedVoice,
)
from tests.support.virtual_time import run

SILENCE = SilenceConfig(reprompt_after_s=1, reprompts=(), goodbye="Bye.")


class Scene:
    """One call through the extension `main`."""

    def __init__(self, *steps, voice=None, **more):
        rules = [{"name": "main", "called": "100", "steps": steps}]
        rules += [{"name": name, "called": name, "steps": found} for name, found in more.items()]
        context = Context.model_validate({"extensions": rules})
        self.plan = Dialplan("bot", {"default": context})
        self.synthesizer = voice or ScriptedVoice()
        self.notes = NoteBook()
        self.agent = Agent(
            "bot", AgentConfig(greeting="Hi.", silence=SILENCE), ScriptedRecognizer(),
            ScriptedBrain(), Voice(self.synthesizer), ToolBox([]),
        )  # fmt: skip

    def play(self, *keys, is_answered=False, transfer_error=None):
        """Keys are (seconds, digit or other line event)."""
        run(self._play(keys, is_answered, transfer_error))
        return self

    async def _play(self, keys, is_answered, transfer_error):
        self.line = line = FakeLine()
        line.transfer_error = transfer_error
        ear = Ear(line.inlet, LevelDetector(), self.notes.write_audio, lambda _: None)
        async with asyncio.TaskGroup() as group:
            call = LiveCall(line, ear, self.notes, Metrics(), group)
            tasks = [group.create_task(line.run()), group.create_task(ear.run())]
            loop = asyncio.get_running_loop()
            for at_s, key in keys:
                event = Digit(key, "info") if isinstance(key, str) else key
                loop.call_later(at_s, call.inbox.put_nowait, event)
            self.scope = StepScope(call, {"bot": self.agent}, "bot")
            runner = Runner(self.plan, self.scope)
            self.result = await runner.run(route(self.plan, line.facts), is_answered=is_answered)
            self.took_s = loop.time()
            for task in tasks:
                task.cancel()
        assert self.synthesizer.open == 0

    @property
    def did(self):
        return [what for what, _, _ in self.line.done]


@pytest.mark.parametrize(("is_answered", "status"), [(False, 486), (True, 0)])
def test_hang_up_refuses_only_what_is_not_answered(is_answered, status):
    scene = Scene({"hang_up": {"status": 486, "reason": "closed"}}).play(is_answered=is_answered)
    assert (scene.result.status, scene.result.ending.text) == (status, "closed")
    assert scene.did == []


def test_a_step_with_audio_answers_once():
    scene = Scene({"say": "One."}, {"say": "Two, {caller}."}, {"answer": {}}).play()
    assert scene.did == ["answer"]
    assert scene.synthesizer.texts == ["One.", "Two,", "200."]
    assert scene.result.ending.reason == "bot_hung_up"
    assert scene.result.status == 0
    assert len(scene.line.audible()) == 2


def test_a_recording_is_played_whole(tmp_path):
    write_wav(tmp_path / "x.wav", SPEECH * 25, LINE.sample_rate_hz)
    scene = Scene({"say": {"file": str(tmp_path / "x.wav")}}).play()
    assert scene.line.heard_s == pytest.approx(0.5, abs=0.02)


def test_a_voice_that_fails_costs_only_its_sentence():
    voice = ScriptedVoice(lambda _: ProviderUnavailable("acme", "down"))
    scene = Scene({"say": "One."}, {"hang_up": {}}, voice=voice).play()
    assert scene.result.ending.reason == "bot_hung_up"
    assert "engine_failed" in scene.notes.kinds()


PIN = {"into": "pin", "digits": 4, "prompt": "Your PIN.", "timeout_s": 2, "digit_timeout_s": 1}


@pytest.mark.parametrize(
    ("options", "keys", "pin"),
    [
        ({}, [(1, "1"), (1.1, "2"), (1.2, "3"), (1.3, "4")], "1234"),
        ({}, [(0.1, "1"), (0.11, "2"), (0.12, "3"), (0.13, "4"), (0.14, "5")], "1234"),
        ({}, [(1, "1"), (1.5, "2"), (2.0, "#")], "12"),
        ({}, [(1, "1"), (3, "2")], "1"),
        ({"terminator": ""}, [(1, "#"), (1.1, "*")], "#*"),
        ({"min_digits": 2}, [(1, "1"), (4, "2"), (4.1, "3")], "23"),
        ({}, [(1, "#"), (2, "7")], "7"),
        ({}, [], ""),
        ({}, [(0.5, Resumed()), (0.6, SayRequest("x")), (1, "9")], "9"),
    ],
)
def test_collect(options, keys, pin):
    scene = Scene({"collect": PIN | options}).play(*keys)
    assert scene.scope.collected == {"pin": pin}


def test_collect_asks_again_in_other_words_then_gives_up():
    scene = Scene({"collect": PIN | {"tries": 3, "retry_prompt": "Again."}}).play()
    assert scene.synthesizer.texts == ["Your PIN.", "Again.", "Again."]
    assert scene.scope.collected == {"pin": ""}
    gaps = zip(scene.line.audible()[1:], scene.line.audible(), strict=False)
    assert all(2.0 <= later[0] - earlier[1] <= 2.3 for later, earlier in gaps)


def test_a_key_silences_the_prompt():
    long = {"prompt": "A very long prompt that goes on and on.", "digits": 1}
    scene = Scene({"collect": PIN | long}).play((1, "5"))
    assert scene.line.audible()[-1][1] <= 1.05


def test_branches_jumps_and_the_rest_of_a_rule():
    steps = [{"collect": PIN | {"digits": 1}}, {"branch": {"on": "pin", "cases": {"1": "one"}}}]
    one = [{"goto": "two"}]
    two = [{"hang_up": {"reason": "two"}}]
    last = {"hang_up": {"reason": "last"}}
    assert Scene(*steps, last, one=one, two=two).play((1, "1")).result.ending.text == "two"
    assert Scene(*steps, last, one=one, two=two).play((1, "2")).result.ending.text == "last"


def test_a_circle_of_jumps_ends():
    scene = Scene({"goto": "main"}).play()
    assert scene.result.ending.reason == "failed"
    assert scene.notes.kinds() == ["route"] * MAX_JUMPS


@pytest.mark.parametrize(
    ("error", "reason", "kinds"),
    [
        (None, "transferred", "transferred"),
        (TransferFailed(486, "busy"), "bot_hung_up", "transfer_failed"),
    ],
)
def test_transfer(error, reason, kinds):
    step = {"transfer": {"target": "sip:{caller}@host", "announce": "One moment."}}
    scene = Scene(step, {"say": "Sorry."}).play(transfer_error=error)
    what, at_s, target = scene.line.done[-1]
    assert (what, target) == ("transfer", "sip:200@host")
    assert at_s >= scene.line.audible()[0][1]
    assert scene.result.ending.reason == reason
    assert kinds in scene.notes.kinds()
    assert ("Sorry." in scene.synthesizer.texts) is (error is not None)


def test_talk_ends_the_plan_as_the_talk_ended():
    scene = Scene({"talk": "bot"}, {"say": "Never."}).play()
    assert scene.result.ending.reason == "silence"
    assert scene.scope.call.agent_name == "bot"
    assert "Never." not in scene.synthesizer.texts
