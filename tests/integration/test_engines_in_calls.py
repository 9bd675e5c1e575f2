"""Whole calls with the doubles of engines, by the front door: sound and words go both ways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest

from gateway.probe import voices
from gateway.probe.g711 import Samples
from gateway.providers.kit.spurts import GAP_MS
from tests.support.deepgram_double import DeepgramDouble
from tests.support.dialect_doubles import InworldDouble, XaiDouble
from tests.support.elevenlabs_double import ElevenLabsDouble
from tests.support.engine_double import EngineDouble, Peer
from tests.support.gemini_double import MODEL, GeminiDouble, GeminiPeer
from tests.support.hume_double import HumeDouble
from tests.support.line_bytes import RawLine, all_codes, arrived, framed
from tests.support.live_double import LiveDouble
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.moshi_double import MoshiDouble
from tests.support.openai_double import OpenAiDouble
from tests.support.outside import LoudEar, Telephone, calling
from tests.support.plain_phone import plain_phone
from tests.support.served_doubles import Served, served
from tests.support.speaking_double import LETTER_MS, Saying, Script, length_ms

GREETING = "Good morning."
ANSWER = "We are open from nine to five."
STORY = " ".join(["Once upon a time there was a long story without any end."] * 4)
HOURS = "Let me see. Monday from seven."
TYPED = "Four and two."
GOODBYE = "Goodbye then."
TURNS = [
    ("Tell the long story.", Saying(STORY)),
    (
        "Wait, when do you open?",
        Saying(
            "Let me see.",
            "opening_hours",
            '{"day": "monday"}',
            "Monday from {opens}.",
        ),
    ),
    ("That is all.", Saying(GOODBYE, "hang_up")),
]
SPOKEN = ("Tell me a story.", "Stop, wait a moment.", "Thank you, goodbye.")
"""What the telephone really says: the record has what the engine reports."""


def script(**pace: Any) -> Script:
    return Script(GREETING, TURNS, {"42": Saying(TYPED)}, **pace)


@dataclass(frozen=True)
class Engine:
    provider: str
    double: EngineDouble
    settings: Mapping[str, Any] = field(default_factory=dict)


ENGINES = [  # they deliver in one burst, faster than real time, in short and in long pieces
    Engine("openai_realtime", OpenAiDouble(script())),
    Engine("openai_live", LiveDouble(script())),
    Engine("inworld_realtime", InworldDouble(script(pace=1.5, piece_ms=10))),
    Engine("xai_realtime", XaiDouble(script(pace=3.0, piece_ms=2000))),
    Engine("deepgram_agent", DeepgramDouble(script(pace=2.0, piece_ms=60))),
    Engine("elevenlabs_agent", ElevenLabsDouble(script(pace=4.0, piece_ms=400))),
    Engine("hume_evi", HumeDouble(script(pace=1.2))),
]
OTHERS = [  # driven by the test
    Engine("gemini_live", GeminiDouble(), {"model": MODEL}),
    Engine("moshi", MoshiDouble()),
]
TAKES_LINES = [  # without a script: the test sends bytes
    Engine("openai_realtime", OpenAiDouble()),
    Engine("openai_live", LiveDouble()),
    Engine("inworld_realtime", InworldDouble()),
    Engine("xai_realtime", XaiDouble()),
    Engine("deepgram_agent", DeepgramDouble()),
    Engine("elevenlabs_agent", ElevenLabsDouble()),
]
AGENTS = {
    **{engine.provider: engine for engine in (*ENGINES, *OTHERS)},
    **{f"bytes-{engine.provider}": engine for engine in TAKES_LINES},
}
RULE = """
[[contexts.default.extensions]]
name = "{name}"
called = "{name}"
steps = [{{ talk = "{name}" }}]
"""


@dataclass(frozen=True)
class Place:
    gateway: LiveGateway
    doubles: Served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One gateway for all engines: their agents are reached by their names."""
    folder = tmp_path_factory.mktemp("engines")
    (folder / "plan").mkdir()
    rules = [RULE.format(name=name) for name in AGENTS]
    (folder / "plan" / "plan.toml").write_text("".join(rules))
    with served([engine.double for engine in AGENTS.values()]) as doubles:
        agents = {name: agent(engine) for name, engine in AGENTS.items()}
        config = {"agents": agents, "dialplan": {"directory": "plan"}}
        with live_gateway(folder, config) as running:
            yield Place(running, doubles)


def agent(engine: Engine) -> dict[str, Any]:
    """Return the agent of an engine; what stands in for it is small."""
    can = engine.double.ABILITIES
    greeting = "engine" if engine.double.script is not None else "voice"
    s2s = {"provider": engine.provider, **engine.double.settings(), **engine.settings}
    tools = {"tools": ["gateway.script.examples.front_desk_tools:opening_hours"]}
    return {
        "greeting": GREETING,
        "s2s": {**s2s, "greeting": greeting, "on_failure": "apologize"},
        "tts": {"provider": "flite"},
        **(tools if can.has_tools else {"builtin_tools": []}),
    }


class Conversation:
    """One call in which everything happens once."""

    def __init__(self, phone: Telephone, engine: Engine, spoken: Sequence[Samples]) -> None:
        self.phone = phone
        self.pause_ms = 300 + (GAP_MS if engine.double.ABILITIES.is_full_duplex else 0)
        """After a reply: one whose end is told from silence is not over as soon as it is silent."""
        self.ear = LoudEar(phone)
        self.spoken = spoken
        self.story_ms = 0
        """Of the story's sound that came to the telephone."""
        self.goodbye_ms = 0

    async def lead(self) -> None:
        phone, ear = self.phone, self.ear
        await ear.hears(length_ms(GREETING), 0, pause_ms=self.pause_ms)
        asked_ns = await self.say(0)
        await ear.hears(1000, asked_ns, pause_ms=0)
        broke_in_ns = await self.say(1)
        self.story_ms = ear.loud_ms(asked_ns, broke_in_ns)
        await ear.hears(length_ms(HOURS) - LETTER_MS, broke_in_ns, pause_ms=self.pause_ms)
        typed_ns = time.monotonic_ns()
        phone.media.press("42#")
        await ear.hears(length_ms(TYPED), typed_ns, pause_ms=self.pause_ms)
        thanked_ns = await self.say(2)
        await phone.ended(12)
        self.goodbye_ms = ear.loud_ms(thanked_ns)

    async def say(self, number: int) -> int:
        _, last = self.phone.media.play(self.spoken[number])
        await self.phone.until(lambda: len(self.phone.media.sent) > last, 30, "speech to be sent")
        return time.monotonic_ns()


async def conversation(gateway: LiveGateway, engine: Engine, spoken: Sequence[Samples]) -> None:
    """Lead the call; raise AssertionError for what is not as it should be."""
    async with calling(gateway.uri(engine.provider), user=engine.provider) as phone:
        talk = Conversation(phone, engine, spoken)
        await talk.lead()
    record = await gateway.finished(phone.sip_call_id)
    assert engine.double.problems == []
    assert (record["end_reason"], record["hung_up_by"]) == ("bot_hung_up", "agent")
    peer = engine.double.peers[-1]
    assert_record(gateway, record, engine)
    assert_cut(record, talk, peer)
    assert talk.goodbye_ms >= 0.95 * length_ms(GOODBYE)


def assert_record(gateway: LiveGateway, record: dict[str, Any], engine: Engine) -> None:
    """Everything that was said stands in it, in the engine's words."""
    heard = [turn["bot_text_heard"].strip() for turn in record["turns"]]
    assert [*heard[:1], *heard[2:]] == [GREETING, HOURS, TYPED, GOODBYE]
    asked = [turn["caller_text"] for turn in record["turns"]]
    tell, wait, done = (said for said, _ in TURNS)
    assert asked == [None, tell, wait, "42", done]
    (use,) = record["turns"][2]["tools"]
    assert (use["name"], use["is_error"]) == ("opening_hours", False)
    events = gateway.events(record)
    kinds = [event["kind"] for event in events]
    (connected,) = [event for event in events if event["kind"] == "engine_connected"]
    assert connected["provider"] == engine.provider
    assert {"tool_called", "call_ended"} <= set(kinds)
    assert not {"engine_lost", "engine_notice", "engine_failed"} & set(kinds)


def assert_cut(record: dict[str, Any], talk: Conversation, peer: Peer) -> None:
    """What the engine and the record have of the story is what the telephone has heard of it."""
    story = record["turns"][1]
    text = story["bot_text_heard"].strip()
    can = peer.double.ABILITIES
    assert STORY.startswith(text)
    assert abs(length_ms(text) - talk.story_ms) <= length_ms("a word or so"), (text, talk.story_ms)
    if not can.is_full_duplex:
        assert story["interrupted"]
        assert story["barge_in_stop_ms"] < 1000
    if can.hears_of_positions:
        (cut_ms,) = peer.cuts
        assert cut_ms is not None
        assert abs(cut_ms - talk.story_ms) <= 40, (cut_ms, talk.story_ms)


@pytest.mark.parametrize("engines", [ENGINES[:4], ENGINES[4:]], ids=["realtime", "agents"])
def test_every_engine_leads_a_call(place: Place, engines: Sequence[Engine]):
    async def scenario() -> None:  # a worker takes four calls at once
        spoken = [await voices.render(text) for text in SPOKEN]
        calls = [conversation(place.gateway, engine, spoken) for engine in engines]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        wrong = {}
        for engine, outcome in zip(engines, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                outcome.add_note(f"with {engine.provider}")
                wrong[engine.provider] = outcome
        if wrong:
            raise BaseExceptionGroup(f"not as it should be: {', '.join(wrong)}", [*wrong.values()])

    asyncio.run(scenario())


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_the_bytes_of_the_line_are_those_of_the_engine(place: Place, codec: str):
    engines = [engine for engine in TAKES_LINES if codec.lower() in engine.double.ABILITIES.passes]
    with ThreadPoolExecutor(4) as pool:  # a worker takes four calls at once
        calls = [pool.submit(exchange_bytes, place, engine, codec) for engine in engines]
    for call in calls:
        call.result(0)


def exchange_bytes(place: Place, engine: Engine, codec: str) -> None:
    """Send a second of all codes each way; compare what arrives."""
    double, name = engine.double, f"bytes-{engine.provider}"
    before = len(double.peers)
    sent, spoken = (all_codes(codec, 50, seed) for seed in (1, 2))
    with plain_phone(place.gateway.sip_port) as phone:
        line = RawLine(phone, codec, name)
        line.place()
        line.wait(lambda: any(peer.is_ready for peer in double.peers[before:]), 5, "a session")
        (peer,) = (peer for peer in double.peers[before:] if peer.is_ready)
        assert (peer.input_format.encoding, peer.output_format.encoding) == (codec.lower(),) * 2
        place.doubles.run(peer.say("r1", spoken, "Bytes."))
        # A process that is late for a moment costs frames; what codes anew spoils all of them.
        came = partial(arrived, framed(spoken))
        line.wait(lambda: came(line.heard) >= 25, 5, f"bytes from {engine.provider}")
        line.send(framed(sent))
        arrives = partial(arrived, framed(sent))
        line.wait(lambda: arrives(bytes(peer.heard)) >= 25, 5, f"bytes at {engine.provider}")
    assert double.problems == []


def is_loud(peer: Peer) -> bool:
    """Return whether the engine has heard speech."""
    samples = np.frombuffer(bytes(peer.heard[: len(peer.heard) & ~1]), "<i2")
    return bool(np.count_nonzero(np.abs(samples.astype(np.int32)) > 1000) > 1000)


def test_a_caller_talks_to_the_engine(place: Place):
    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            for engine in OTHERS:
                group.create_task(one_answer(place, engine))

    asyncio.run(scenario())


async def one_answer(place: Place, engine: Engine) -> None:
    """Lead a call in which the engine answers once."""
    gateway, double = place.gateway, engine.double
    before = len(double.peers)
    async with calling(gateway.uri(engine.provider), user=engine.provider) as phone:
        await phone.bot_is_done()
        (peer,) = double.peers[before:]
        said_ns = await phone.say("Are you open today?")
        await phone.until(lambda: is_loud(peer), 10, "the caller's speech at the engine")
        if isinstance(peer, GeminiPeer):
            place.doubles.run(peer.caller_says("Are you open today?", is_final=True))
        place.doubles.run(peer.say("r1", peer.tone(1.5), ANSWER))
        await phone.bot_speaks(8, said_ns)
        await phone.bot_is_done(12, said_ns)
        # A reply whose end is told from silence is not over as soon as it is silent.
        over_s = time.monotonic() + GAP_MS / 1000
        await phone.until(lambda: time.monotonic() > over_s, 5, "the end of the reply")
    record = await gateway.finished(phone.sip_call_id)
    (connected,) = gateway.events(record, "engine_connected")
    assert connected["provider"] == engine.provider
    heard = [turn["bot_text_heard"].strip() for turn in record["turns"]]
    assert heard[0] == GREETING
    assert ANSWER in heard
    if double.ABILITIES.has_caller_text:
        assert "Are you open today?" in [turn["caller_text"] for turn in record["turns"]]
    assert double.problems == []
