"""Whole calls with the `openai` provider against a local server that is scripted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from gateway.turn.answers import digit_count
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.llm_server import Answer, Call, LlmServer, chunk, stream_of
from tests.support.outside import Telephone, calling

GREETING = "Good morning. How can I help?"
FALLBACK = "Sorry, I have a technical problem."
GIVE_UP = "I cannot help you right now. Goodbye."
SALES = "sip:sales@127.0.0.1:5099"
LONG = "The first sentence is short. " + "This story goes on and on and never wants to end. " * 12


@dataclass(frozen=True)
class Place:
    """A gateway and the port where it looks for its language model."""

    gateway: LiveGateway
    llm_port: int

    @asynccontextmanager
    async def call(self, *script: Answer) -> AsyncIterator[tuple[Telephone, LlmServer]]:
        """A call whose greeting is over, with a model that answers so."""
        async with (
            LlmServer(*script, port=self.llm_port) as server,
            calling(self.gateway.uri()) as phone,
        ):
            await phone.bot_is_done()
            yield phone, server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    port = free_port()
    agent = {
        "greeting": GREETING,
        "instructions": "You answer the telephone.",
        "fallback": FALLBACK,
        "give_up": GIVE_UP,
        # Each request takes the next line of the model's script, so none may be made in vain.
        "speculation": {"enabled": False},
        "llm": {
            "provider": "openai",
            "model": "test",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "first_token_timeout_s": 1.0,
            "stall_timeout_s": 1.0,
            "max_retries": 0,
        },
        "tools": ["gateway.script.examples.front_desk_tools:opening_hours"],
        "builtin_tools": ["hang_up", "transfer_call"],
        "transfer_targets": {"sales": SALES},
    }
    with live_gateway(tmp_path_factory.mktemp("llm"), {"agents": {"desk": agent}}) as running:
        yield Place(running, port)


def heard(record: dict) -> list[str]:
    return [turn["bot_text_heard"] for turn in record["turns"]]


def test_the_first_sentence_is_heard_before_the_answer_is_complete(place: Place) -> None:
    async def scenario() -> None:
        answer = Answer(text="We open at eight. And we close again at six in the evening.",
                        token_ms=400)  # fmt: skip
        async with place.call(answer) as (phone, server):
            said_ns = await phone.say("When do you open tomorrow?")
            await phone.bot_speaks(8, said_ns)
            (seen,) = server.completions
            assert not seen.finished.is_set()
            async with asyncio.timeout(10):
                await seen.finished.wait()
            await phone.bot_is_done(since_ns=phone.listener.last_ns or 0)
        assert seen.body["stream"] is True
        assert seen.body["messages"][0] == {
            "role": "system",
            "content": "You answer the telephone.",
        }
        assert seen.body["messages"][-1]["role"] == "user"
        record = await place.gateway.finished(phone.sip_call_id)
        assert heard(record) == [GREETING, answer.text]
        assert record["turns"][1]["llm_first_token_ms"] > 0
        assert record["turns"][1]["response_gap_ms"] > 0

    asyncio.run(scenario())


def test_long_text_without_a_mark_is_heard_from_its_first_phrase_on(place: Place) -> None:
    """Thirty tokens a second, 64 words without punctuation: nobody waits for a piece of 30."""
    words = "we can offer you a table by the window for four people on friday evening and "
    answer = Answer(text=(words * 4).strip(), token_ms=33)

    async def scenario() -> None:
        async with place.call(answer) as (phone, server):
            said_ns = await phone.say("Do you have a table for tomorrow?")
            await phone.bot_speaks(8, said_ns)
            assert not server.completions[0].finished.is_set()
        record = await place.gateway.finished(phone.sip_call_id)
        events = place.gateway.events(record, "bot_says")
        pieces = [e["text"] for e in events if e["text"] not in GREETING]
        assert pieces[0] == "we can offer you a table by the window for four people"

    asyncio.run(scenario())


def test_neither_a_tool_nor_the_last_words_wait_for_the_end_of_the_stream(place: Place) -> None:
    """The server holds each of its connections open, without a word of what it has cost."""
    arguments = {"name": "opening_hours", "arguments": '{"day": "monday"}'}
    call = chunk({"tool_calls": [{"index": 0, "id": "a", "function": arguments}]})
    words = chunk({"content": "On Monday we open at eight"})

    async def scenario() -> None:
        script = (
            Answer(replay=stream_of(call, chunk({}, "tool_calls"), end="{{hold}}\n")),
            Answer(replay=stream_of(words, chunk({}, "stop"), end="{{hold}}\n")),
        )
        async with place.call(*script) as (phone, server):
            said_ns = await phone.say("When do you open on Monday?")
            async with asyncio.timeout(8):
                await server.until(lambda: len(server.completions) == 2)
            first, second = server.completions
            assert not first.disconnected.is_set()
            await phone.bot_speaks(8, said_ns)
            assert not second.disconnected.is_set()
            await phone.bot_is_done(since_ns=said_ns)
        record = await place.gateway.finished(phone.sip_call_id)
        assert heard(record)[1] == "On Monday we open at eight"

    asyncio.run(scenario())


def test_the_model_calls_a_function(place: Place) -> None:
    async def scenario() -> None:
        script = (
            Answer(calls=(Call("opening_hours", '{"day": "monday"}'),)),
            Answer(text="On Monday we open at eight."),
        )
        async with place.call(*script) as (phone, server):
            said_ns = await phone.say("When do you open on Monday?")
            await phone.bot_is_done(since_ns=said_ns)
            first, second = server.completions
        names = {tool["function"]["name"] for tool in first.body["tools"]}
        assert names == {"opening_hours", "hang_up", "transfer_call"}
        asked, told = second.body["messages"][-2:]
        assert asked["tool_calls"][0]["function"]["name"] == "opening_hours"
        assert told["role"] == "tool"
        record = await place.gateway.finished(phone.sip_call_id)
        (used,) = record["turns"][1]["tools"]
        assert (used["name"], used["is_error"]) == ("opening_hours", False)
        assert json.loads(used["arguments"]) == {"day": "monday"}
        assert heard(record)[1] == "On Monday we open at eight."

    asyncio.run(scenario())


def test_an_interruption_closes_the_models_socket(place: Place) -> None:
    async def scenario() -> None:
        async with place.call(Answer(text=LONG, token_ms=100), Answer(text="All right.")) as (
            phone,
            server,
        ):
            said_ns = await phone.say("Tell me a story.")
            await phone.bot_speaks(8, said_ns)
            said_ns = await phone.say("Thank you, that is enough for now.")
            seen = server.completions[0]
            async with asyncio.timeout(3):
                await seen.disconnected.wait()
            assert not seen.finished.is_set()
            await phone.bot_is_done(since_ns=said_ns)
            history = server.completions[-1].body["messages"]
        spoken = [m["content"] for m in history if m["role"] == "assistant"]
        assert len(spoken[-1]) < len(LONG) / 2  # only what was heard
        record = await place.gateway.finished(phone.sip_call_id)
        assert record["turns"][1]["interrupted"]
        assert record["turns"][1]["barge_in_stop_ms"] < 500

    asyncio.run(scenario())


def test_hanging_up_waits_for_the_goodbye(place: Place) -> None:
    async def scenario() -> None:
        goodbye = "Thank you for calling. Have a nice day. Goodbye."
        async with place.call(Answer(text=goodbye, calls=(Call("hang_up"),))) as (phone, _):
            said_ns = await phone.say("That is all, goodbye.")
            await phone.bot_speaks(8, said_ns)
            await phone.ended(10)
            assert phone.call.ended_by == "gateway"
            last_ns = phone.listener.last_ns or 0
            ended_ns = phone.call.times.ended_ns or 0
            assert -20 < (ended_ns - last_ns) / 1e6 < 1000
        record = await place.gateway.finished(phone.sip_call_id)
        assert heard(record) == [GREETING, goodbye]
        assert record["end_reason"] == "bot_hung_up"

    asyncio.run(scenario())


def test_the_model_transfers_the_caller(place: Place) -> None:
    async def scenario() -> None:
        answer = Answer(
            text="I will put you through.", calls=(Call("transfer_call", '{"target": "sales"}'),)
        )
        async with place.call(answer) as (phone, _):
            await phone.say("I want to talk to sales.")
            await phone.ended(12)
            assert phone.call.referred_to == SALES
        record = await place.gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "transferred"
        assert heard(record) == [GREETING, "I will put you through."]

    asyncio.run(scenario())


def test_a_number_that_the_model_asked_for_is_heard_out(place: Place) -> None:
    """Pauses of 0.9 s within a telephone number: one turn, one request."""

    async def scenario() -> None:
        asks = Answer(text="Certainly. What is your phone number? [expect phone_number]")
        async with place.call(asks, Answer(text="Thank you very much.")) as (phone, server):
            said_ns = await phone.say("I would like to book a table.")
            await phone.bot_is_done(since_ns=said_ns)
            for group in ("five five five", "one two three", "four five six seven"):
                last_ns = await phone.say(group)
                if group != "four five six seven":
                    goes_on_ns = last_ns + 900_000_000
                    await phone.until(lambda: time.monotonic_ns() >= goes_on_ns, 5, "a pause")  # noqa: B023
            await phone.until(lambda: len(server.completions) > 1, 15, "the second request")
            await phone.bot_is_done(since_ns=time.monotonic_ns())
            assert len(server.completions) == 2
            told = server.completions[-1].body["messages"][-1]
            assert told["role"] == "user"
            assert digit_count(told["content"]) >= 8
        record = await place.gateway.finished(phone.sip_call_id)
        assert heard(record)[1:3] == [
            "Certainly. What is your phone number?",
            "Thank you very much.",
        ]

    asyncio.run(scenario())


def test_after_three_failures_in_a_row_it_gives_up(place: Place) -> None:
    async def scenario() -> None:
        failures = (Answer(status=500), Answer(text=LONG, stall_after=0), Answer(hang=True))
        async with place.call(*failures) as (phone, server):
            for _ in range(2):
                said_ns = await phone.say("When do you open tomorrow?")
                await phone.bot_is_done(since_ns=said_ns)
                assert not phone.call.ended.is_set()
            await phone.say("When do you open tomorrow?")
            await phone.ended(15)
            assert len(server.completions) == 3
        record = await place.gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "failed"
        assert [text for text in heard(record) if text] == [GREETING, FALLBACK, FALLBACK, GIVE_UP]

    asyncio.run(scenario())


def test_a_model_that_is_down_and_comes_back(place: Place) -> None:
    async def scenario() -> None:
        async with calling(place.gateway.uri()) as phone:
            await phone.bot_is_done()
            said_ns = await phone.say("When do you open tomorrow?")
            await phone.bot_is_done(since_ns=said_ns)
            script = Answer(text="We open at eight o'clock tomorrow.", close_after=4)
            async with LlmServer(script, Answer(text="At eight."), port=place.llm_port):
                for _ in range(2):
                    said_ns = await phone.say("When do you open tomorrow?")
                    await phone.bot_is_done(since_ns=said_ns)
        record = await place.gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "caller_hung_up"
        spoken = [text for text in heard(record) if text]
        assert spoken.count(FALLBACK) == 2
        assert spoken[-1] == "At eight."

    asyncio.run(scenario())


def test_keys_are_one_turn_and_the_terminator_does_not_cut_the_answer(place: Place) -> None:
    async def scenario() -> None:
        answer = "Thank you, I have found your booking for tonight at eight."
        async with place.call(Answer(text=answer), Answer(text="No.")) as (phone, server):
            phone.media.press("1234#")
            await phone.until(lambda: server.completions, 10, "a request")
            await phone.bot_speaks(since_ns=time.monotonic_ns())
            phone.media.press("#")
            await phone.bot_is_done()
            asked = server.completions[-1].body["messages"][-1]
            assert asked == {"role": "user", "content": "The caller typed 1234."}
            assert len(server.completions) == 1
        record = await place.gateway.finished(phone.sip_call_id)
        assert heard(record)[-1] == answer
        assert not record["turns"][-1]["interrupted"]

    asyncio.run(scenario())
