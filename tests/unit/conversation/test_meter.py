"""What recognizers and voices were used for in a call, and what that costs."""

from __future__ import annotations

import pytest

from gateway.conversation.meter import _SETTLE_S, RecognizerMeter
from gateway.conversation.spending import Spending
from tests.support.scene import GREETING, Scene, text
from tests.support.voice_sessions import WithSessions

PRICED = {
    "stt": {"provider": "deaf", "prices": {"cost_per_minute": 0.6}},
    "tts": {"provider": "dumb", "prices": {"cost_per_million_characters": 1000.0}},
}


async def one_turn(scene: Scene) -> None:
    await scene.says(3, 0.5)
    await scene.until(8)


def used(scene: Scene, kind: str):
    (found,) = [each for each in scene.call.usage.values() if each.kind == kind]
    return found


def metric(scene: Scene, name: str, provider: str) -> float:
    value = scene.call.metrics.registry.get_sample_value(
        name, {"provider": provider, "variant": ""}
    )
    assert value is not None
    return value


def test_a_call_counts_what_it_sends_to_recognizer_and_voice():
    scene = Scene([text("Yes.")], ["One."], **PRICED).play(one_turn)
    heard, said = used(scene, "stt"), used(scene, "tts")
    assert heard.provider == "deaf"
    assert 0.5 < heard.audio_s < 3  # the turn with what is around it, not the whole call
    assert heard.cost == pytest.approx(heard.audio_s * 0.01, abs=1e-6)
    assert said.characters == len(GREETING) + len("Yes.")
    assert said.requests == 2
    assert said.audio_s > 0
    assert said.cost == pytest.approx(said.characters / 1000)
    assert scene.call.spent.cost == pytest.approx(heard.cost + said.cost)
    assert metric(scene, "gateway_stt_audio_seconds_total", "deaf") == pytest.approx(heard.audio_s)
    assert metric(scene, "gateway_tts_characters_total", "dumb") == said.characters
    assert metric(scene, "gateway_tts_cost_total", "dumb") == pytest.approx(said.cost)


def test_without_prices_there_is_no_cost():
    scene = Scene([text("Yes.")], ["One."]).play(one_turn)
    assert {each.cost for each in scene.call.usage.values()} == {None}
    assert scene.call.spent.cost == 0


def test_a_sentence_that_is_cut_off_was_given_to_the_voice():
    answer = "This is a long sentence that the caller interrupts before it is over."

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(6, 1.5)
        await scene.until(10)

    scene = Scene([text(answer), text("Yes.")], ["One.", "Two."], **PRICED).play(script)
    assert used(scene, "tts").characters >= len(GREETING) + len(answer)


def test_an_agent_with_sessions_is_counted_too():
    scene = Scene([text("Yes.")], ["One."], voice=WithSessions()).play(one_turn)
    assert used(scene, "tts").characters == len(GREETING) + len("Yes.")


def test_a_recognizer_that_hears_everything_is_counted_while_it_does():
    async def script(scene: Scene) -> None:
        spending = Spending.of(scene.call, scene.config.llm_limits)
        meter = RecognizerMeter("other", scene.config.stt.prices, scene.call, spending)
        for _ in range(round(_SETTLE_S / 0.02)):
            meter.heard(0.0201)
        assert scene.call.usage["stt", "other"].audio_s >= _SETTLE_S
        for _ in range(2):
            meter.settle()
            assert scene.call.usage["stt", "other"].audio_s == pytest.approx(_SETTLE_S * 1.005)
        await scene.until(1)

    Scene(**PRICED).play(script)


def test_requests_to_a_model_are_in_the_record():
    scene = Scene([text("Yes.")], ["One."], llm_limits={"input_cost_per_million": 1.0})
    scene.llm.counts_tokens = True
    scene.play(one_turn)
    model = used(scene, "llm")
    assert model.requests == 1
    assert model.input_tokens > 0
    assert model.cost == pytest.approx(model.input_tokens / 1e6)
