"""Dialplan steps on a line that follows a script, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.audio.format import ANALYSIS
from gateway.call.call_audio import CallAudio
from gateway.call.line import Digit, Resumed
from gateway.call.live_call import LiveCall, SayRequest
from gateway.config.dialplans import Context, Dialplan
from gateway.config.models import AgentConfig, SilenceConfig
from gateway.conversation.agent import Agent
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
    ScriptedModel,
    ScriptedRecognizer,
    ScriptedVoice,
)
from tests.support.virtual_time import run
from tests.support.voice_sessions import WithSessions
from tests.support.wav import write_wav

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
            ScriptedModel(), Voice(self.synthesizer), ToolBox([]), LevelDetector,
        )  # fmt: skip

    def play(self, *keys, is_answered=False, transfer_error=None):
        """Keys are (seconds, digit, other line event, or what acts on the call)."""
        run(self._play(keys, is_answered, transfer_error))
        return self

    async def _play(self, keys, is_answered, transfer_error):
        self.line = line = FakeLine()
        line.transfer_error = transfer_error
        audio = CallAudio(line.inlet, self.notes.write_audio, lambda _: None)
        async with asyncio.TaskGroup() as group:
            call = LiveCall(line, audio, self.notes, Metrics(), group, group)
            tasks = [group.create_task(line.run()), group.create_task(audio.run())]
            loop = asyncio.get_running_loop()
            for at_s, key in keys:
                event = Digit(key, "info") if isinstance(key, str) else key
                if callable(key):
                    loop.call_later(at_s, key, call)
                else:
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
    assert (scene.result.status, scene.result.text) == (status, "closed")
    assert scene.did == []


def test_a_step_with_audio_answers_once():
    scene = Scene({"say": "One."}, {"say": "Two, {caller}."}, {"answer": {}}).play()
    assert scene.did == ["answer"]
    assert scene.synthesizer.texts == ["One.", "Two,", "two hundred."]
    assert scene.result.reason == "bot_hung_up"
    assert scene.result.status == 0
    assert len(scene.line.audible()) == 2


def test_all_steps_of_a_call_speak_in_one_session_of_the_voice():
    voice = WithSessions()
    Scene({"say": "One."}, {"say": "Two."}, {"talk": {"agent": "bot"}}, voice=voice).play()
    assert voice.said == [["One.", "Two.", "Hi.", "Bye."]]
    assert voice.closed == 1


def test_a_recording_is_played_whole(tmp_path):
    write_wav(tmp_path / "x.wav", SPEECH * 25, ANALYSIS.sample_rate_hz)
    scene = Scene({"say": {"file": str(tmp_path / "x.wav")}}).play()
    assert scene.line.heard_s == pytest.approx(0.5, abs=0.02)


def test_a_transfer_by_the_api_leaves_what_is_being_said_whole(tmp_path):
    def transfer(call):
        call.line.transfer_takes_s = 12.0
        call.control.transfer("sip:x@host", "api")

    write_wav(tmp_path / "x.wav", SPEECH * 250, ANALYSIS.sample_rate_hz)
    busy = TransferFailed(486, "busy")
    said = {"say": {"file": str(tmp_path / "x.wav")}}
    scene = Scene(said).play((1.0, transfer), transfer_error=busy)
    assert scene.line.played.count(SPEECH) == 250
    assert "transfer_failed" in scene.notes.kinds()


def test_a_voice_that_fails_costs_only_its_sentence():
    voice = ScriptedVoice(lambda _: ProviderUnavailable("acme", "down"))
    scene = Scene({"say": "One."}, {"hang_up": {}}, voice=voice).play()
    assert scene.result.reason == "bot_hung_up"
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
    assert Scene(*steps, last, one=one, two=two).play((1, "1")).result.text == "two"
    assert Scene(*steps, last, one=one, two=two).play((1, "2")).result.text == "last"


def test_a_circle_of_jumps_ends():
    scene = Scene({"goto": "main"}).play()
    assert scene.result.reason == "failed"
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
    assert scene.result.reason == reason
    assert kinds in scene.notes.kinds()
    assert ("Sorry." in scene.synthesizer.texts) is (error is not None)


def test_talk_ends_the_plan_as_the_talk_ended():
    scene = Scene({"talk": "bot"}, {"say": "Never."}).play()
    assert scene.result.reason == "silence"
    assert scene.scope.call.agent_name == "bot"
    assert "Never." not in scene.synthesizer.texts


def test_a_terminator_after_a_complete_input_is_not_the_next_ones_first_key():
    steps = [{"collect": PIN}, {"collect": PIN | {"into": "next", "digits": 2}}]
    keys = [(1 + n / 10, key) for n, key in enumerate("1234#56")]
    assert Scene(*steps).play(*keys).scope.collected == {"pin": "1234", "next": "56"}


def test_nothing_is_added_to_an_input_that_was_ended_too_early():
    keys = [(1 + n / 10, key) for n, key in enumerate("10#")]
    keys += [(3 + n / 10, key) for n, key in enumerate("1234")]
    scene = Scene({"collect": PIN | {"min_digits": 4}}).play(*keys)
    assert scene.scope.collected == {"pin": "1234"}


@pytest.mark.parametrize(
    ("steps", "texts"),
    [
        ([{"say": "One."}, {"say": "Two."}], ["One.", "We close soon.", "Two."]),
        ([{"say": "One."}], ["One.", "We close soon."]),
        ([{"say": "One."}, {"hang_up": {}}], ["One.", "We close soon."]),
        ([{"transfer": {"target": "sip:a@b", "announce": "One."}}], ["One.", "We close soon."]),
    ],
)
def test_what_the_operator_wants_said_during_a_prompt_is_said_behind_it(steps, texts):
    scene = Scene(*steps).play((0.2, SayRequest("We close soon.")))
    assert scene.synthesizer.texts == texts
    assert len(scene.line.audible()) == len(texts)


def test_keys_typed_ahead_stay_when_the_operator_has_something_said():
    keys = [(0.2, "1"), (0.3, SayRequest("We close soon.")), (0.4, "#")]
    scene = Scene({"say": "One."}, {"collect": PIN}).play(*keys)
    assert scene.scope.collected == {"pin": "1"}


@pytest.mark.parametrize("keys", [((2, "1"), (2.5, "#")), ((1.2, "1"), (1.4, "#")), ()], ids=str)
def test_what_the_operator_wants_said_is_said_at_once_while_keys_are_collected(keys):
    plan = PIN | {"tries": 1, "timeout_s": 3}
    scene = Scene({"collect": plan}, {"say": "Thanks."}).play((1, SayRequest("We close.")), *keys)
    assert scene.synthesizer.texts == ["Your PIN.", "We close.", "Thanks."]
    prompt, news, thanks = scene.line.audible()
    assert prompt[1] < 1.0
    assert news[0] == pytest.approx(1.1, abs=0.06)
    assert news[1] - news[0] == pytest.approx(0.45, abs=0.03)  # keys do not cut it off
    assert scene.scope.collected == {"pin": "1" if keys else ""}
    if not keys:  # the caller has its time from then on
        assert thanks[0] == pytest.approx(news[1] + 3.1, abs=0.1)


def test_what_the_operator_wants_said_between_two_keys_does_not_take_the_callers_time():
    plan = PIN | {"digit_timeout_s": 1, "tries": 1}
    keys = [(1, "1"), (1.5, SayRequest("We close.")), (2.8, "2"), (3, "#")]
    assert Scene({"collect": plan}).play(*keys).scope.collected == {"pin": "12"}


def test_what_the_operator_wants_said_during_the_prompt_of_an_input_follows_it():
    keys = [(0.2, SayRequest("We close.")), (3, "1"), (3.2, "#")]
    scene = Scene({"collect": PIN}).play(*keys)
    assert scene.synthesizer.texts == ["Your PIN.", "We close."]
    assert len(scene.line.audible()) == 2
    assert scene.scope.collected == {"pin": "1"}
