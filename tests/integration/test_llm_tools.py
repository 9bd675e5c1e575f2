"""Tools of a language model over a real call: slow ones, and callers who speak meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.llm_server import Answer, Call, LlmServer, chunk, stream_of, text_stream
from tests.support.outside import Telephone, answered_by, calling, telephone

GREETING = "Hello."
FALLBACK = "Sorry, I have a technical problem."
GIVE_UP = "That is all for today."
OPEN = "We open at nine."
NEWS = "Please stay on the line."
TOOLS = '''
import asyncio
import time
from pathlib import Path

HERE = Path(__file__).parent

async def book_table(guests: int) -> str:
    """Book a table."""
    await asyncio.sleep(6)
    with (HERE / "bookings").open("a") as file:
        file.write(f"{guests}\\n")
    return "booked"

async def book_room(guests: int) -> str:
    """Book a room, which takes its time."""
    await asyncio.sleep(12)
    with (HERE / "bookings").open("a") as file:
        file.write(f"room {guests}\\n")
    return "booked"

async def block() -> str:
    """Do what no async function may do."""
    time.sleep(5)
    return "done"

def opening_hours(day: str = "monday") -> str:
    """Tell when we open."""
    return f"nine on {day}"
'''


@dataclass(frozen=True)
class Place:
    gateway: LiveGateway
    llm_port: int
    folder: Path

    @asynccontextmanager
    async def call(self, *script: Answer) -> AsyncIterator[tuple[Telephone, LlmServer]]:
        """A call whose greeting is over, with a model that answers so."""
        async with (
            LlmServer(*script, port=self.llm_port) as server,
            calling(self.gateway.uri()) as phone,
        ):
            await phone.bot_is_done()
            yield phone, server

    @property
    def answers(self) -> int:
        """How often the opening hours were heard so far."""
        heard = f"-> {len(OPEN.split())} words"
        return sum(heard in entry["line"] for entry in self.gateway.logged("turn"))

    @property
    def bookings(self) -> list[str]:
        found = self.folder / "bookings"
        return found.read_text().split() if found.exists() else []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tools")
    (folder / "desk_tools.py").write_text(TOOLS)
    port = free_port()
    agent = {
        "greeting": GREETING,
        "fallback": FALLBACK,
        # Each request takes the next line of the model's script, so none may be made in vain.
        "speculation": {"enabled": False},
        "llm": {
            "provider": "openai",
            "model": "test",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "first_token_timeout_s": 2.0,
        },
        "instructions": "The caller is {caller}, who called {called}. It is {now}.",
        "tools": [
            f"desk_tools.py:{name}"
            for name in ("book_table", "book_room", "block", "opening_hours")
        ],
        "tool_timeout_s": 20.0,
        "filler": {"after_ms": 1500, "every_ms": 2000, "give_up_s": 5.0},
    }
    frugal = {"greeting": "Hello {var.name}.", "llm_limits": {"requests_per_call": 1},
              "give_up": GIVE_UP, "instructions": "You call {var.name}."}  # fmt: skip
    config = {
        "outgoing": {"allow": ["sip:bob@127.0.0.1:*"]},
        "default_agent": "desk",
        "agents": {"desk": agent, "frugal": {**agent, **frugal}},
    }
    with live_gateway(folder, config) as running:
        yield Place(running, port, folder)


def test_who_speaks_while_a_tool_runs_is_answered_and_told_its_result(place: Place) -> None:
    async def scenario() -> None:
        script = (
            Answer(calls=(Call("book_table", '{"guests": 2}'),)),
            Answer(text="Yes, on Sunday we are open."),
            Answer(text="Your table is booked."),
        )
        before = len(place.bookings)
        async with place.call(*script) as (phone, server):
            await phone.say("Please book a table for two people.")
            await phone.until(lambda: server.completions, 8, "the first request")
            await asyncio.sleep(2.0)
            said_ns = await phone.say("By the way, are you open on Sunday?")
            await phone.bot_speaks(4, said_ns)  # not after the tool
            assert len(place.bookings) == before
            await phone.until(lambda: len(server.completions) == 3, 15, "the result to be told")
            await phone.bot_is_done(since_ns=phone.listener.last_ns or 0)
            assert not phone.call.ended.is_set()
            meanwhile, news = (seen.body["messages"] for seen in server.completions[1:])
        assert [m["role"] for m in meanwhile][-1] == "user"
        assert "still running" in next(m for m in meanwhile if m["role"] == "tool")["content"]
        assert (news[-1]["role"], news[-1]["content"]) == ("tool", '"booked"')
        assert place.bookings[before:] == ["2"]
        record = await place.gateway.finished(phone.sip_call_id)
        heard = [turn["bot_text_heard"] for turn in record["turns"] if turn["bot_text_heard"]]
        assert heard == [GREETING, script[1].text, script[2].text]
        assert record["end_reason"] == "caller_hung_up"

    asyncio.run(scenario())


@pytest.mark.parametrize("ends", ["caller", "bot"])
def test_a_call_ends_at_once_while_a_tool_runs_whose_outcome_is_recorded(
    place: Place, ends: str
) -> None:
    async def scenario() -> None:
        script = (
            Answer(calls=(Call("book_room", '{"guests": 3}'),)),
            Answer(text="Goodbye.", calls=(Call("hang_up"),)),
        )
        before = len(place.bookings)
        async with place.call(*script) as (phone, server):
            await phone.say("Please book a room for three people.")
            await phone.until(lambda: server.completions, 8, "the first request")
            await asyncio.sleep(1.5)
            if ends == "bot":
                said_ns = await phone.say("Thank you very much, goodbye.")
                await phone.bot_speaks(5, said_ns)
                await phone.ended(3)  # not after the tool
                assert phone.call.ended_by == "gateway"
        await place.gateway.free(2)
        assert len(place.bookings) == before
        (record,) = [r for r in place.gateway.records() if r["sip_call_id"] == phone.sip_call_id]
        assert (record["state"], record["ended_at"] is not None) == ("active", True)
        answer = await place.gateway.ask_beside("GET", f"/v1/calls/{record['call_id']}")
        assert answer.json()["end_reason"] == record["end_reason"]
        over_s = record["duration_s"]
        record = await place.gateway.finished(phone.sip_call_id, 20)
        assert record["duration_s"] == over_s
        reason = "bot_hung_up" if ends == "bot" else "caller_hung_up"
        assert record["end_reason"] == reason
        assert [(use["name"], use["result"]) for use in record["late_tools"]] == [
            ("book_room", '"booked"')
        ]
        ended = place.gateway.events(record, "tool_finished")
        assert [event["tool"] for event in ended][-1] == "book_room"
        assert place.bookings[before:] == ["room", "3"]

    asyncio.run(scenario())


def test_the_operator_is_heard_while_a_tool_runs(place: Place) -> None:
    async def scenario() -> None:
        script = (
            Answer(calls=(Call("book_table", '{"guests": 3}'),)),
            Answer(text="Your table is booked."),
        )
        before = len(place.bookings)
        async with place.call(*script) as (phone, server):
            await phone.say("Please book a table for three people.")
            await phone.until(lambda: server.completions, 8, "the first request")
            await asyncio.sleep(1.5)
            calls = (await place.gateway.ask_beside("GET", "/v1/calls?active=true")).json()["calls"]
            path = f"/v1/calls/{calls[0]['call_id']}/say"
            assert (await place.gateway.ask_beside("POST", path, {"text": NEWS})).is_success
            await phone.until(lambda: len(server.completions) == 2, 15, "the result to be told")
            await phone.bot_is_done(since_ns=phone.listener.last_ns or 0)
        assert place.bookings[before:] == ["3"]
        record = await place.gateway.finished(phone.sip_call_id)
        said = [e["text"] for e in place.gateway.events(record, "bot_says") if not e["is_filler"]]
        assert said == [GREETING, NEWS, script[1].text]

    asyncio.run(scenario())


def test_only_answers_are_heard_of_what_servers_send(place: Place) -> None:
    asked = '{"name": "opening_hours", "arguments": {"day": "saturday"}}'
    loading = '{"error": {"message": "model is loading", "type": "server_error", "code": 503}}'
    thoughts = [item for n in range(4) for item in (chunk({"reasoning": "hm "}), "{{pause 0.6}}\n")]
    turns = (
        (text_stream(f"Okay, the caller asks for the hours. I am brief. </think> {OPEN}"),),
        (text_stream(f"<tool_call> {asked} </tool_call>"), text_stream(OPEN)),
        (stream_of(chunk({"content": OPEN}), chunk({}, "stop"), end="{{hold}}\n"),),
        (loading, stream_of(chunk({"content": [{"type": "text", "text": OPEN}]}))),
        (stream_of(*thoughts, chunk({"content": OPEN}), chunk({}, "stop")),),
    )

    async def scenario() -> None:
        script = [Answer(replay=body) for turn in turns for body in turn]
        async with place.call(*script) as (phone, server):
            before = place.answers
            for number, _ in enumerate(turns, start=before + 1):
                await phone.say("When do you open on Saturday?")
                await eventually(lambda n=number: place.answers == n, 20, "an answer")
                await phone.bot_is_done(since_ns=0)
            system = server.completions[0].body["messages"][0]
        assert system["content"].startswith("The caller is 200, who called 100. It is ")
        record = await place.gateway.finished(phone.sip_call_id)
        heard = [turn["bot_text_heard"] for turn in record["turns"] if turn["bot_text_heard"]]
        assert heard == [GREETING, *[OPEN] * len(turns)]
        used = [tool for turn in record["turns"] for tool in turn["tools"]]
        assert [(tool["name"], tool["result"]) for tool in used] == [
            ("opening_hours", '"nine on saturday"')
        ]

    asyncio.run(scenario())


def test_a_tool_that_blocks_does_not_hold_up_another_call(place: Place) -> None:
    async def scenario() -> None:
        script = (Answer(calls=(Call("block"),)), Answer(text=OPEN), Answer(text="It is done."))
        async with place.call(*script) as (phone, server), calling(place.gateway.uri()) as other:
            await other.bot_is_done()
            await phone.say("Please do it now.")
            await phone.until(lambda: server.completions, 8, "the first request")
            await asyncio.sleep(1.2)
            said_ns = await other.say("When do you open on Saturday?")
            await other.bot_speaks(3, said_ns)
            assert len(server.completions) == 2  # the tool of the other has not come to its end
            await phone.until(lambda: len(server.completions) == 3, 10, "the tool's result")
            await phone.bot_is_done(since_ns=phone.listener.last_ns or 0)
        (entry,) = place.gateway.logged("tool_blocks")
        assert entry["tool"] == "block"
        line = TOOLS.splitlines().index("    time.sleep(5)") + 1
        assert entry["at"].endswith(f"desk_tools.py:{line}")
        assert not place.gateway.logged("worker_stuck")

    asyncio.run(scenario())


def test_a_placed_call_has_its_variables_and_its_limit(place: Place) -> None:
    async def scenario() -> None:
        async with (
            LlmServer(Answer(text=OPEN), port=place.llm_port) as server,
            telephone() as phone,
        ):
            to = f"sip:bob@127.0.0.1:{phone.sip.address[1]}"
            body = {"to": to, "agent": "frugal", "variables": {"name": "Ms Miller"}}
            asking = place.gateway.ask_beside("POST", "/v1/calls", body)
            placed, sip_call_id = await answered_by(phone, asking)
            assert placed.status_code == 201, placed.text
            await phone.bot_is_done()
            said_ns = await phone.say("When do you open on Saturday?")
            await phone.bot_is_done(since_ns=said_ns)
            await phone.say("And when do you close again?")
            await phone.ended(12)
            (seen,) = server.completions
        assert seen.body["messages"][0]["content"] == "You call Ms Miller."
        record = await place.gateway.finished(sip_call_id)
        heard = [turn["bot_text_heard"] for turn in record["turns"] if turn["bot_text_heard"]]
        assert heard == ["Hello Ms Miller.", OPEN, GIVE_UP]
        assert record["end_reason"] == "failed"
        assert len(place.gateway.events(record, "llm_limit")) == 1
        lines = (await place.gateway.ask_beside("GET", "/metrics")).text.splitlines()
        (line,) = [line for line in lines if line.startswith("gateway_llm_limits_total{")]
        assert "requests_per_call" in line

    asyncio.run(scenario())
