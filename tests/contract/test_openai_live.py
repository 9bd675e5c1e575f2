"""OpenAI Live keeps the contract of engines, and does what only it does."""

import json
from dataclasses import replace

import pytest

from gateway.providers.contracts import ToolResult, UserMessage
from gateway.providers.speech_to_speech import (
    DELEGATED,
    CallerText,
    EngineNotice,
    EngineUsage,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SessionExpires,
    ToolAsked,
)
from tests.support.engine_contract import OPENING, TOOL, Call, EngineContract, Subject
from tests.support.live_double import LiveDouble

ENGINE = Subject("openai_live", LiveDouble)


class TestContract(EngineContract):
    @pytest.fixture
    def engine(self) -> Subject:
        return ENGINE


def test_a_session_that_keeps_nothing_and_expires_is_asked_for():
    async def use(call: Call) -> None:
        session = call.peer.session
        assert (session["model"], session["store"]) == ("gpt-live-1", False)
        assert session["audio"]["output"] == {"voice": "marin"}
        assert session["delegation"]["responses"]["instructions"] == OPENING.instructions
        assert 1700 < (await call.next(SessionExpires)).in_s <= 1800

    ENGINE.call(use)


def test_work_can_be_delegated_to_the_gateway():
    async def use(call: Call) -> None:
        assert call.peer.session["delegation"] == {"type": "client"}
        await call.peer.caller_says("Is a table free", is_final=False)
        await call.says("r1", text="Let me look.")
        await call.peer.delegate("del_9")
        asked = (await call.next(ToolAsked)).call
        assert (asked.id, asked.name) == ("del_9", DELEGATED)
        said = json.loads(asked.arguments)["conversation"]
        assert said == "Caller: Is a table free\nYou: Let me look."
        call.session.tell([ToolResult("del_9", DELEGATED, "Yes, at eight. " * 300)], answer=True)
        await call.peer.until(lambda peer: len(peer.results) == 3)
        assert {call_id for call_id, _ in call.peer.results} == {"del_9"}
        assert all(event["type"] == "session.commentary.append" for event in call.peer.appended)

    ENGINE.call(use, replace(OPENING, tools=[TOOL]), delegation="client")


def test_what_the_model_behind_the_voice_costs_is_counted_too():
    async def use(call: Call) -> None:
        done = {"type": "response.completed", "response": {"usage": {"input_tokens": 70}}}
        await call.peer.spend(0, 0, 2.0)
        await call.peer.nested(done)
        await call.peer.nested({"type": "response.failed", "response": {"error": {"code": "x"}}})
        await call.next(EngineNotice)
        assert call.of(EngineUsage)[-1] == EngineUsage(input_tokens=70, audio_s=2.0)

    ENGINE.call(use)


def test_a_pause_between_two_sentences_is_one_reply():
    async def use(call: Call) -> None:
        tone = call.peer.tone(0.2)
        silent = b"\xff" * 8 * 300
        for part in (tone, silent, tone):
            await call.peer.sound("", part)
        await call.peer.finish("")
        await call.next(ReplyEnded)
        assert len(call.of(ReplyStarted)) == 1
        assert call.audio("reply-1").startswith(tone + silent + tone)

    line = replace(OPENING.line, encoding="pcmu")
    ENGINE.call(use, replace(OPENING, line=line))


def test_silence_is_nothing_that_is_played():
    async def use(call: Call) -> None:
        await call.peer.finish("")
        await call.peer.spend(0, 0, 1.0)
        await call.next(EngineUsage)
        assert not call.of(ReplyStarted)
        assert not call.of(ReplyAudio)

    ENGINE.call(use)


def test_late_words_belong_to_the_reply_whose_sound_they_are():
    async def use(call: Call) -> None:
        first = await call.says("r1", text="One.")
        await call.next(ReplyEnded)
        call.peer._position_ms = 100
        await call.peer.words("r1", " Two.")
        text = None
        while text is None or text.text != " Two.":
            text = await call.next(ReplyText)
        assert text.reply_id == first

    ENGINE.call(use)


def test_words_before_the_first_sound_belong_to_the_reply_that_begins():
    async def use(call: Call) -> None:
        cut = await call.says("r1", text="One two")
        await call.next(ReplyEnded)
        await call.peer.sound("", call.peer.tone(0.2))
        cut = (await call.next(ReplyStarted)).reply_id
        call.session.cut(cut, 100)
        await call.peer.words("", " three")  # of the reply that was cut
        await call.peer.sound("", call.peer.tone(0.2))
        await call.peer.finish("")
        await call.peer.words("", "Next.")
        await call.peer.sound("", call.peer.tone(0.2))
        following = (await call.next(ReplyStarted)).reply_id
        await call.peer.words("", " And on.")
        await call.peer.finish("")
        await call.next(ReplyEnded)
        assert call.text(following) == "Next. And on."
        assert call.text(cut) == ""

    ENGINE.call(use)


def test_a_caller_who_says_something_later_begins_another_turn():
    async def use(call: Call) -> None:
        await call.peer.caller_says("Hello", is_final=False)
        call.peer._caller_ms += 5000
        await call.peer.caller_says("Hello anybody?", is_final=False)
        await call.until(lambda: len(call.of(CallerText)) == 3)
        assert [(text.text, text.is_final) for text in call.of(CallerText)] == [
            ("Hello", False), ("Hello", True), ("anybody?", False)
        ]  # fmt: skip
        assert len({text.turn_id for text in call.of(CallerText)}) == 2

    ENGINE.call(use)


def test_what_the_operator_tells_without_an_answer_is_silent_context():
    async def use(call: Call) -> None:
        call.session.tell([UserMessage("The kitchen closes at ten.")], answer=False)
        await call.peer.until(lambda peer: peer.appended)
        assert call.peer.appended[0]["type"] == "session.thinking.append"

    ENGINE.call(use)
