"""What only an engine that hears and speaks by itself does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.audio.format import AudioFormat
from gateway.config.models import FillerConfig, LlmLimits
from gateway.conversation.duplex_caller import UNKNOWN
from gateway.conversation.silence_budget import filler_texts
from gateway.conversation.stages import stages
from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import AssistantMessage, UserMessage
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    EngineNotice,
    EngineUsage,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    SessionExpires,
    ToolsWithdrawn,
)
from tests.support.scene import GREETING, LONG, Scene, call_of, text
from tests.support.scripted_engine import ScriptedEngine, sound

ASKED = "How are you?"


def scene_of(
    *answers: Any, turns: Any = "engine", heard: Any = (ASKED,) * 3, **config: Any
) -> Scene:
    return Scene(engine=ScriptedEngine(*answers, turns=turns, heard=heard), **config)


def says(at_s: float = 3.0, for_s: float = 0.5, until_s: float = 12.0):
    async def script(scene: Scene) -> None:
        await scene.says(at_s, for_s)
        await scene.until(until_s)

    return script


def test_the_engine_says_the_greeting():
    async def script(scene: Scene) -> None:
        await scene.until(5)

    table = {"provider": "scripted", "greeting": "engine"}
    scene = scene_of(s2s=table, greeting="Good day to {caller}.").play(script)
    greeting = f"Good day to {scene.line.facts.caller}."
    assert scene.engine.session.opening.greeting == greeting
    assert scene.history == (AssistantMessage(greeting),)
    assert scene.synthesizer.texts == []


def test_without_a_greeting_the_engine_speaks_first():
    async def script(scene: Scene) -> None:
        await scene.until(5)

    scene = scene_of(["Hello, what can I do for you?"], greeting="").play(script)
    assert scene.history == (AssistantMessage("Hello, what can I do for you?"),)
    assert scene.engine.session.told == [((), True)]


def test_the_greeting_of_our_voice_is_reported_to_it():
    scene = scene_of(["Fine."]).play(says())
    assert scene.engine.session.told[0] == ((AssistantMessage(GREETING),), False)


@pytest.mark.parametrize("turns", ["engine", "gateway"])
def test_the_verdict_is_the_first_one(turns: str):
    """An engine that owns turns stops the bot sooner than our own verdict."""

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(6, 2.0)
        await scene.until(9)

    scene = scene_of([LONG], ["Yes?"], turns=turns).play(script)
    (cut_s,) = scene.times("interrupted")
    (suspected_s,) = scene.times("barge_in_suspected") or [cut_s]
    confirmed = scene.times("barge_in_confirmed")
    if turns == "engine":
        assert cut_s < 6.1
        assert not confirmed or confirmed[0] > cut_s
        (cut,) = (turn for turn in scene.notes.turns if turn.interrupted)
        assert (cut.barge_in_stop_ms is not None) is bool(scene.times("barge_in_suspected"))
    else:
        assert cut_s == pytest.approx(confirmed[0], abs=0.05)
        assert cut_s - suspected_s > 0.2


def test_a_turn_of_ours_begins_where_the_caller_began():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(7, 1.0)
        await scene.until(10)

    scene = scene_of([LONG], ["Yes?"], turns="gateway").play(script)
    (first, first_told), (second, second_told) = scene.engine.session.begun
    assert first == pytest.approx(3000 - 400, abs=120)  # with what is before detected speech
    assert second == pytest.approx(7000 - 400, abs=120)
    assert first_told < 3300
    assert 7200 < second_told < 7700  # an interruption is a turn once it is certain
    assert scene.engine.session.commits == 2


def test_late_audio_of_a_cut_reply_is_not_heard():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(6, 1.0)
        await scene.until(6.6)
        session = scene.engine.session
        session.report(session_audio("1-1"))
        session.report(ReplyEnded("1-1", "interrupted"))
        await scene.until(6.95)
        assert not scene.line.audible()[-1][1] > 6.5
        await scene.until(10)

    scene = scene_of([LONG], []).play(script)
    assert scene.line.audible()[-1][1] < 6.3


def session_audio(reply_id: str) -> Any:
    return ReplyAudio(reply_id, sound(AudioFormat(24_000), 1000), " late")


def test_words_that_were_not_transcribed_have_their_place():
    scene = scene_of(["Fine."], heard=()).play(says())
    assert scene.history[1:] == (UserMessage(UNKNOWN), AssistantMessage("Fine."))


def test_words_that_come_before_the_answer_count():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        scene.engine.session.report(CallerText("How", "t1"))
        scene.engine.session.report(CallerText(ASKED, "t1", is_final=True))
        await scene.until(8)
        scene.engine.session.report(CallerText("How is he?", "t1", is_final=True))
        await scene.until(9)

    scene = scene_of(["Fine."], heard=()).play(script)
    assert [data["text"] for data in scene.data("partial_transcript")] == ["How"]
    assert [data["text"] for data in scene.data("final_transcript")] == [ASKED, "How is he?"]
    assert scene.history[1:] == (UserMessage("How is he?"), AssistantMessage("Fine."))


def test_words_without_alignment():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(6, 1.0)
        await scene.until(8)

    scene = scene_of([LONG], [])
    scene.engine.is_aligned = False
    scene.play(script)
    cut = scene.history[2]
    assert LONG.startswith(cut.text)
    assert 5 < len(cut.text) < len(LONG)


def test_a_wait_is_bridged_by_our_voice_and_the_engine_is_not_told():
    async def script(scene: Scene) -> None:
        await scene.voice.render_ahead(filler_texts(scene.config.filler))
        await scene.says(3, 0.5)
        await scene.until(10)

    filler = FillerConfig(after_ms=1500, first=("Hm.",), later=())
    scene = scene_of([3.0, "Fine."], filler=filler).play(script)
    assert [words["text"] for words in scene.data("bot_says")][1:] == ["Hm.", "Fine."]
    assert scene.notes.turns[1].fillers == ("Hm.",)
    assert [m.text for told, _ in scene.engine.session.told for m in told] == [GREETING]
    quiet = {"provider": "scripted", "filler": "engine"}
    scene = scene_of([3.0, "Fine."], filler=filler, s2s=quiet).play(script)
    assert [words["text"] for words in scene.data("bot_says")][1:] == ["Fine."]


def test_a_filler_while_a_tool_runs():
    async def slow() -> str:
        """Look."""
        await asyncio.sleep(4)
        return "found"

    async def script(scene: Scene) -> None:
        await scene.voice.render_ahead(filler_texts(scene.config.filler))
        await scene.says(3, 0.5)
        await scene.until(16)

    filler = FillerConfig(after_ms=1500, first=("Hm.",), later=())
    answer = ["Let me look.", call_of("slow"), "Found it."]
    scene = scene_of(answer, filler=filler, tools=[slow]).play(script)
    said = [words["text"] for words in scene.data("bot_says")][1:]
    assert said == ["Let me look.", "Hm.", "Found it."]
    assert scene.notes.turns[1].bot_text_heard == "Let me look. Found it."


def test_an_answer_that_never_comes_is_apologized_for():
    filler = FillerConfig(after_ms=0, give_up_s=4)
    scene = scene_of([60.0, "Late."], filler=filler, fallback="Sorry.").play(says(until_s=12))
    assert scene.history[-1] == AssistantMessage("Sorry.")


def test_a_reply_that_the_engine_cannot_finish_is_apologized_for():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(4.3)
        scene.engine.session.report(ReplyEnded("1-1", "failed", "internal error"))
        await scene.until(9)

    scene = scene_of([0.02, "One", 2.0, "two"], fallback="Sorry.").play(script)
    assert scene.history[-1] == AssistantMessage("Sorry.")
    assert "internal error" in str(scene.data("engine_failed"))


def test_withdrawn_tools_are_not_answered():
    async def slow() -> str:
        """Look."""
        await asyncio.sleep(2)
        return "found"

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(5)
        scene.engine.session.report(ToolsWithdrawn(("c1",)))
        await scene.until(10)

    scene = scene_of([call_of("slow")], tools=[slow]).play(script)
    assert [m for told, _ in scene.engine.session.told for m in told] == [
        AssistantMessage(GREETING)
    ]


def test_a_session_is_replaced_before_it_expires():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(4)
        scene.engine.session.report(SessionExpires(30))
        await scene.until(9)
        await scene.says(9, 0.5)
        await scene.until(14)

    scene = scene_of(["First."], ["Second."], heard=["One.", "Two."]).play(script)
    first, second = scene.engine.sessions
    assert [m.text for m in second.opening.messages] == [GREETING, "One.", "First."]
    assert scene.data("engine_lost") == []
    assert scene.history[-1] == AssistantMessage("Second.")
    assert first.pushed_ms < 9000 < first.pushed_ms + second.pushed_ms


def test_a_session_that_lasts_an_hour_is_not_replaced_in_the_first_silence():
    async def script(scene: Scene) -> None:
        await scene.until(1)
        scene.engine.session.report(SessionExpires(70))
        await scene.says(3, 0.5)
        await scene.until(7)
        assert len(scene.engine.sessions) == 1
        await scene.until(10)

    scene = scene_of(["Fine."]).play(script)
    assert len(scene.engine.sessions) == 2


@pytest.mark.parametrize("way", ["expires", "is lost"])
def test_what_has_come_of_a_reply_is_heard_and_the_next_session_goes_on_with_it(way: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(5.2)
        if way == "expires":
            scene.engine.session.report(SessionExpires(3.2))
        else:
            scene.engine.session.report(ProviderUnavailable("scripted", "connection lost"))
        await scene.until(14)

    rest = "We are open from Monday"
    scene = scene_of([rest, 9.0, "to Friday."], ["to Friday, I was saying."]).play(script)
    assert [m.text for m in scene.history[2:]] == [rest, "to Friday, I was saying."]
    first, second = scene.engine.sessions
    assert second.opening.messages == (AssistantMessage(GREETING), UserMessage(ASKED))
    assert second.told == [
        ((AssistantMessage(rest, interrupted=True),), False), ((), True),
    ]  # fmt: skip
    assert first.cuts == second.cuts == []
    assert [turn.bot_text_heard for turn in scene.notes.turns[1:]] == [
        rest, "to Friday, I was saying.",
    ]  # fmt: skip


def test_a_reply_that_is_complete_is_told_to_the_next_session():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(5)
        scene.engine.session.report(ProviderUnavailable("scripted", "connection lost"))
        await scene.says(7, 1.0)
        await scene.until(12)

    scene = scene_of([LONG], ["Yes?"]).play(script)
    _, second = scene.engine.sessions
    ((told,), answer), *_ = second.told
    assert not answer
    assert told == scene.history[2]
    assert told.interrupted
    assert LONG.startswith(told.text)
    assert second.cuts == []  # the reply is of another session: it may know the same id
    assert scene.history[-1] == AssistantMessage("Yes?")


def test_the_result_of_a_tool_is_told_in_words_when_another_session_has_asked_for_it():
    async def slow() -> str:
        """Look."""
        await asyncio.sleep(3)
        return "found"

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(5)
        scene.engine.session.report(ProviderUnavailable("scripted", "connection lost"))
        await scene.until(12)

    answers = (["Let me look.", call_of("slow")], ["Found it."])
    scene = scene_of(*answers, tools=[slow]).play(script)
    told = UserMessage('(slow has returned: "found")')
    assert ((told,), True) in scene.engine.session.told
    assert scene.history[-1] == AssistantMessage("Found it.")


def test_nothing_of_what_the_caller_says_is_lost_while_the_session_is_opened_again():
    async def script(scene: Scene) -> None:
        await scene.until(4)
        scene.engine.session.report(ProviderUnavailable("scripted", "connection lost"))
        scene.line.speak(1.0)
        await scene.until(10)

    scene = scene_of(["Fine."]).play(script)
    assert scene.history[-1] == AssistantMessage("Fine.")
    assert sum(session.pushed_ms for session in scene.engine.sessions) == pytest.approx(
        10_000, abs=400
    )


def test_a_session_that_is_lost_as_the_caller_falls_silent_owes_the_next_one_an_answer():
    """The end of the turn is handled behind the loss: the next session was not asked."""

    async def script(scene: Scene) -> None:
        await scene.until(4)
        for event in (
            CallerStarted(),
            CallerText("When do you open?", "turn-1", is_final=True),
            CallerEnded(),
            ProviderUnavailable("scripted", "connection lost"),
        ):
            scene.engine.session.report(event)
        await scene.until(8)

    scene = scene_of(["Nine to five."]).play(script)
    assert [data["goes_on"] for data in scene.data("engine_lost")] == ["reconnects"]
    assert scene.history[-1] == AssistantMessage("Nine to five.")


def test_usage_is_in_the_record_of_the_call_with_its_cost():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(4)
        first = scene.engine.session
        first.report(EngineUsage(1000, 100, 800, 80, 600, 500))
        first.report(EngineUsage(3000, 300, 2400, 240, 1200, 1000))
        await scene.until(5)
        first.report(ProviderUnavailable("scripted", "is gone"))
        await scene.until(8)
        scene.engine.session.report(EngineUsage(500, 50, audio_s=30))
        await scene.until(9)

    prices = {
        "input_text_cost_per_million": 4.0,
        "input_audio_cost_per_million": 32.0,
        "cached_text_cost_per_million": 0.5,
        "output_text_cost_per_million": 16.0,
        "output_audio_cost_per_million": 64.0,
        "cost_per_minute": 0.1,
    }
    table = {"provider": "scripted", "prices": prices}
    limits = LlmLimits(cost_per_call=10.0)
    scene = scene_of(["Fine."], s2s=table, llm_limits=limits).play(script)
    (engine,) = scene.call.engines.values()
    assert (engine.provider, engine.sessions, engine.lost) == ("scripted", 2, 1)
    assert (engine.input_tokens, engine.output_tokens) == (3500, 350)
    assert (engine.input_audio_tokens, engine.output_audio_tokens) == (2400, 240)
    assert (engine.cached_tokens, engine.session_s) == (1200, 30)
    text_in, audio_in, cached_text, cached_audio = 400 + 500, 1400, 200, 1000
    cost = text_in * 4 + (audio_in + cached_audio) * 32 + cached_text * 0.5
    cost = (cost + (60 + 50) * 16 + 240 * 64) / 1e6 + 0.05
    assert engine.cost == pytest.approx(cost, abs=1e-6)
    assert scene.call.spent.cost == pytest.approx(cost)
    metrics = scene.call.metrics
    assert metrics.engine_cost.labels()._value.get() == pytest.approx(cost)
    assert metrics.engine_tokens.labels("cached_audio")._value.get() == cached_audio
    assert metrics.engine_session_seconds.labels()._value.get() == 30


def test_without_prices_there_is_no_cost():
    async def script(scene: Scene) -> None:
        await scene.until(4)
        scene.engine.session.spends(100, 20)
        await scene.until(5)

    (engine,) = scene_of([]).play(script).call.engines.values()
    assert (engine.input_tokens, engine.cost) == (100, None)


@pytest.mark.parametrize("turns", ["engine", "gateway"])
def test_the_time_of_the_engine_has_fields_of_its_own(turns: str):
    scene = scene_of(["Fine."], turns=turns).play(says())
    turn = scene.notes.turns[1]
    assert turn.llm_first_sentence_ms is turn.llm_first_token_ms is turn.tts_first_audio_ms is None
    takes_ms = 100 + (400 if turns == "engine" else 0)  # its delay, and the silence it waits for
    assert turn.engine_first_audio_ms == pytest.approx(takes_ms, abs=45)
    assert 0 <= turn.engine_to_wire_ms < 50
    rest_ms = turn.response_gap_ms - turn.engine_first_audio_ms
    assert turn.gateway_share_ms == pytest.approx(rest_ms, abs=0.2)
    slowest = "engine_first_audio_ms" if turns == "engine" else "endpointing_ms"
    assert turn.slowest_stage == slowest
    parts = stages(turn)
    assert parts is not None
    assert sum(parts) == pytest.approx(turn.response_gap_ms, abs=0.2)
    seen = [data["what"] for data in scene.data("engine_reply")]
    assert seen == ["started", "audio", "ended"]


def test_usage_is_in_the_record_of_the_call_and_limited():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(4)
        scene.engine.session.spends(100, 20)
        scene.engine.session.spends(150, 60)
        await scene.until(5)
        assert (scene.call.spent.requests, scene.call.spent.tokens) == (2, 210)
        scene.engine.session.spends(900, 60)
        await scene.until(14)

    limits = LlmLimits(tokens_per_call=500)
    scene = scene_of(["Fine."], llm_limits=limits, give_up="Goodbye.").play(script)
    assert scene.ending is not None
    assert scene.ending.reason == "failed"
    assert scene.synthesizer.texts[-1] == "Goodbye."
    assert scene.data("llm_limit") == [{"limit": "tokens_per_call"}]


def test_what_the_engine_reports_is_in_the_events():
    async def script(scene: Scene) -> None:
        await scene.until(3)
        scene.engine.session.report(EngineNotice("temperature was ignored"))
        scene.engine.session.report(CallerStarted(2900.0))
        await scene.until(4)

    scene = scene_of().play(script)
    assert scene.data("engine_connected") == [
        {"provider": "scripted", "turns": "engine", "messages": 0}
    ]
    assert scene.data("engine_notice") == [{"text": "temperature was ignored"}]
    assert scene.data("engine_hears") == [{"what": "started", "at_ms": 2900.0}]


# --- the engine hangs up ---


@pytest.mark.parametrize("at_s", [4.6, 9.0])
def test_an_engine_that_hangs_up_ends_the_call_behind_its_last_words(at_s: float):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(at_s)
        scene.engine.session.hang_up()
        await scene.until(20)

    scene = scene_of(["Goodbye then."]).play(script)
    assert scene.ending is not None
    assert (scene.ending.reason, scene.ending.text) == (
        "bot_hung_up", "the engine has ended the conversation"
    )  # fmt: skip
    assert scene.history[-1] == AssistantMessage("Goodbye then.")
    assert len(scene.engine.sessions) == 1
    assert len(scene.data("engine_hung_up")) == 1
    assert scene.data("engine_lost") == []


def test_an_engine_that_hangs_up_instead_of_an_answer_ends_the_call():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(5)
        scene.engine.session.hang_up()
        await scene.until(20)

    scene = scene_of([9.0, "Never."]).play(script)
    assert scene.ending is not None
    assert scene.ending.reason == "bot_hung_up"
    assert scene.ended_s < 6


def test_replies_that_wait_are_heard_before_the_call_ends():
    async def script(scene: Scene) -> None:
        await scene.until(1)
        session = scene.engine.session
        for reply_id, words in (("a", "One"), ("b", "Two")):
            session.report(ReplyStarted(reply_id))
            session.report(ReplyAudio(reply_id, sound(AudioFormat(24_000), 500), words))
            session.report(ReplyEnded(reply_id))
        session.hang_up()
        await scene.until(20)

    scene = scene_of().play(script)
    assert [turn.bot_text_heard for turn in scene.notes.turns] == [GREETING, "One", "Two"]
    assert scene.ending is not None


# --- a session that is connected and silent ---


@pytest.mark.parametrize("turns", ["engine", "gateway", "none"])
def test_a_session_that_gives_no_sign_is_replaced(turns: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(8, 0.5)
        await scene.until(15)
        assert len(scene.engine.sessions) == 2
        await scene.says(20, 0.5)
        await scene.until(26)

    config: dict[str, Any] = {"llm_timeout_s": 4.0, "fallback": "Pardon?"}
    scene = scene_of(["Fine."], turns=turns, **config)
    scene.engine.silent_sessions = 1
    scene.play(script)
    assert [data["goes_on"] for data in scene.data("engine_lost")] == ["reconnects"]
    assert scene.history[-1] == AssistantMessage("Fine.")
    if turns == "gateway":  # the caller waited for an answer, and only the session knew the words
        assert "Pardon?" in scene.synthesizer.texts


def test_a_session_that_is_being_opened_is_not_silent():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        scene.engine.session.report(CallerText(ASKED, "t1", is_final=True))
        await scene.until(4.05)
        scene.engine.connect_s = 4.0
        scene.engine.session.report(ProviderUnavailable("scripted", "connection lost"))
        await scene.until(12)

    scene = scene_of([5.0, "Never."], ["Fine."], heard=(), llm_timeout_s=1.0).play(script)
    assert scene.history[-1] == AssistantMessage("Fine.")
    assert [data["goes_on"] for data in scene.data("engine_lost")] == ["reconnects"]


def test_the_cascade_takes_over_from_sessions_that_are_silent():
    async def script(scene: Scene) -> None:
        await scene.voice.render_ahead(filler_texts(scene.config.filler))
        for at_s in (3, 12, 22):
            await scene.says(at_s, 0.5)
        await scene.until(28)

    engine = ScriptedEngine(turns="gateway")
    engine.silent_sessions = 9
    filler = FillerConfig(after_ms=1500, first=("Hm.",), later=())
    config: dict[str, Any] = {"llm_timeout_s": 4.0, "fallback": "Pardon?", "filler": filler}
    scene = Scene([text("From the model.")], ["Hello?"], engine=engine, **config).play(script)
    said = [words["text"] for words in scene.data("bot_says")]
    assert said == [GREETING, "Hm.", "Pardon?", "Hm.", "Pardon?", "From the model."]
    assert [data["goes_on"] for data in scene.data("engine_lost")] == ["reconnects", "cascade"]
    assert len(engine.sessions) == 2


def test_an_engine_that_has_heard_the_caller_and_does_not_answer_is_covered():
    """Its signs show that it is there: the bot takes the floor, fillers and limits count."""

    async def script(scene: Scene) -> None:
        await scene.voice.render_ahead(filler_texts(scene.config.filler))
        scene.engine.session.is_silent = True
        await scene.until(3)
        scene.engine.session.report(CallerStarted(3000.0))
        await scene.says(3, 0.5)
        await scene.until(14)

    filler = FillerConfig(after_ms=1500, first=("Hm.",), later=())
    config: dict[str, Any] = {"llm_timeout_s": 4.0, "fallback": "Pardon?", "filler": filler}
    scene = scene_of(**config).play(script)
    said = [words["text"] for words in scene.data("bot_says")]
    assert said == [GREETING, "Hm.", "Pardon?"]
    assert [data["goes_on"] for data in scene.data("engine_lost")] == ["reconnects"]


def test_a_cough_that_the_engine_ignores_costs_nothing():
    async def script(scene: Scene) -> None:
        await scene.until(1)
        scene.engine.session.is_silent = True
        await scene.says(3, 0.3)
        await scene.until(8)
        scene.engine.session.is_silent = False
        await scene.says(8, 0.5)
        await scene.until(12)

    scene = scene_of(["Fine."]).play(script)
    assert scene.data("engine_lost") == []
    assert [m for m in scene.history if isinstance(m, UserMessage)] == [UserMessage(ASKED)]


# --- full duplex ---


def test_an_endless_stream_is_cut_into_replies():
    async def script(scene: Scene) -> None:
        await scene.says(4, 0.5)
        await scene.until(9)
        await scene.says(9, 0.5)
        await scene.until(14)

    answers = (["Fine, thank you."], ["Goodbye."])
    scene = scene_of(*answers, turns="none", greeting="").play(script)
    turns = [turn.bot_text_heard for turn in scene.notes.turns if turn.bot_text_heard]
    assert turns == ["Fine, thank you.", "Goodbye."]
    assert scene.engine.session.cuts == []


def test_in_full_duplex_the_caller_does_not_cut_the_engine():
    async def script(scene: Scene) -> None:
        await scene.says(4, 0.5)
        await scene.says(6.0, 1.0)
        await scene.until(12)

    scene = scene_of([LONG], turns="none", greeting="").play(script)
    assert scene.notes.turns[-1].bot_text_heard == LONG
    assert scene.times("barge_in_suspected") == []
    assert scene.times("interrupted") == []


def test_the_caller_may_interrupt_what_takes_over_from_full_duplex():
    async def script(scene: Scene) -> None:
        await scene.until(1)
        scene.engine.refusals = [ProviderUnavailable("scripted", "is down")]
        scene.engine.session.report(ProviderUnavailable("scripted", "connection lost"))
        await scene.says(3, 0.5)
        await scene.says(6, 1.5)
        await scene.until(12)

    engine = ScriptedEngine(turns="none")
    scene = Scene([text(LONG), text("Yes?")], ["Tell me.", "Stop, please."], engine=engine)
    scene.play(script)
    cut, *_, last = scene.history[2:]
    assert cut.interrupted
    assert last == AssistantMessage("Yes?")
    assert scene.line.audible()[1][1] < 6.2


def test_a_key_cuts_full_duplex_and_the_engine_hears_of_it():
    async def script(scene: Scene) -> None:
        await scene.until(2.5)
        scene.press("1")
        await scene.until(8)

    scene = scene_of([LONG], turns="none", greeting="").play(script)
    ((reply_id, heard_ms),) = scene.engine.session.cuts
    assert reply_id == "reply-1"
    heard = scene.line.audible()
    assert heard[-1][1] < 2.6
    assert heard_ms == pytest.approx((heard[-1][1] - heard[0][0]) * 1000, abs=150)
    cut = scene.history[0]
    assert cut.interrupted
    assert LONG.startswith(cut.text)


def test_keys_in_full_duplex_are_a_turn_of_the_caller():
    async def script(scene: Scene) -> None:
        await scene.until(3)
        scene.press("4")
        await scene.until(8)

    scene = scene_of(["Press a key."], ["Thank you."], turns="none", greeting="").play(script)
    assert [turn.caller_text for turn in scene.notes.turns] == [None, "4"]
    assert scene.history[1] == UserMessage("4", typed="paused")


def test_nothing_is_left_when_the_call_ends_amid_everything():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(4.5)

    scene = scene_of([LONG]).play(script)
    assert scene.engine.open == 0
