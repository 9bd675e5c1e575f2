"""Engines that do wrong, in whole calls: a clear message, a polite end or a call that goes on."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from gateway.probe import voices
from gateway.probe.g711 import Samples
from tests.support.deepgram_double import DeepgramDouble
from tests.support.edge import make_certificate
from tests.support.engine_double import EngineDouble, EngineFault
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.openai_double import OpenAiDouble, RealtimePeer
from tests.support.outside import LoudEar, Telephone, calling
from tests.support.served_doubles import Served, served
from tests.support.speaking_double import Saying, Script, length_ms

GREETING = "Hello."
ASKED = "When do you open?"
ANSWER = "We open at five."
STORY = "Once upon a time there was a very long story that did not end."
GIVE_UP = "Sorry. Goodbye."
SPOKEN = ("Are you open?", "Stop, wait a moment.")
AT_ONCE = 3
"""Calls; a worker takes four."""


def script(*answers: Saying, **pace: Any) -> Script:
    turns = [(ASKED, answer) for answer in answers or [Saying(ANSWER)]]
    return Script(GREETING, turns, {"": Saying(ANSWER)}, **pace)


class OtherRate(RealtimePeer):
    """Speaks another rate than was agreed."""

    def shown(self) -> dict[str, Any]:
        session = super().shown()
        form = {"format": {"type": "audio/pcm", "rate": 24_000}}
        return {**session, "audio": {**session["audio"], "output": form}}


class Untidy(RealtimePeer):
    """Sends words before a reply has begun; sound, words and another end after its end."""

    async def begin(self, reply_id: str) -> None:
        await self.words(reply_id, "")
        await super().begin(reply_id)

    async def finish(self, reply_id: str, end: str = "complete") -> None:
        await super().finish(reply_id, end)
        await self.sound(reply_id, self.tone(1.0))
        await self.words(reply_id, " Too late.")
        await super().finish(reply_id, "interrupted")


class OtherRateDouble(OpenAiDouble):
    PEER = OtherRate


class UntidyDouble(OpenAiDouble):
    PEER = Untidy


@dataclass(frozen=True)
class Case:
    """One fault and what comes of it."""

    name: str
    ends: Literal["refused", "lost", "answered", "cut"]
    """Before the first word; after a question of the caller; not at all, as the question is
    answered; or not at all, after an interruption."""
    problem: str = ""
    """What the record must say of it (pattern)."""
    fault: EngineFault = EngineFault.NONE
    double: EngineDouble = field(default_factory=lambda: OpenAiDouble(script()))
    provider: str = "openai_realtime"
    is_once: bool = False
    goes_on: Sequence[str] = ()
    """Of each loss of the engine."""


def tools(name: str, arguments: str) -> OpenAiDouble:
    return OpenAiDouble(script(Saying("Let me see.", name, arguments, ANSWER)))


AGAIN = ("reconnects", "")
CASES = [
    Case("wrong-key", "refused", "401.*key", EngineFault.REFUSED, goes_on=("",)),
    Case("wrong-model", "refused", "model does not exist", EngineFault.ERROR_FIRST, goes_on=("",)),
    Case("wrong-voice", "refused", "no voice", EngineFault.VOICE_FIRST, goes_on=("",)),
    Case("slow-first-byte", "refused", "nothing came", EngineFault.SLOW, goes_on=AGAIN),
    Case("down", "refused", "503", EngineFault.DOWN, goes_on=AGAIN),
    Case("garbage-first", "refused", "JSON", EngineFault.GARBAGE_FIRST, goes_on=AGAIN),
    Case("other-rate", "refused", "output_format", double=OtherRateDouble(script()), goes_on=AGAIN),
    Case("no-trust", "refused", "certificate is not trusted", goes_on=("",)),
    Case("base64", "lost", "not base64", EngineFault.GARBAGE_AUDIO, goes_on=AGAIN),
    Case("binary", "lost", "JSON object was expected", EngineFault.WRONG_KIND, goes_on=AGAIN),
    Case("dialect", "lost", "without a type", EngineFault.DIALECT, goes_on=AGAIN),
    Case("huge", "lost", "more than 4000000 bytes", EngineFault.HUGE, goes_on=AGAIN),
    Case("error-frame", "lost", "quota", EngineFault.ERROR, goes_on=("",)),
    Case("idle", "lost", "1001", EngineFault.IDLE, goes_on=AGAIN),
    Case("limit", "lost", "maximum duration", EngineFault.LIMIT, goes_on=AGAIN),
    Case("dropped", "answered", "1006|lost|end", EngineFault.DROP, is_once=True,
         goes_on=("reconnects",)),
    Case("unknown-event", "answered", "unknown event", EngineFault.UNKNOWN),
    Case("no-ids", "answered", "", EngineFault.NO_IDS),
    Case("out-of-order", "answered", double=UntidyDouble(script())),
    Case("broken-json", "answered", double=tools("opening_hours", '{"day": ')),
    Case("no-function", "answered", double=tools("book_a_flight", "{}")),
    Case("late-frames", "cut", "", EngineFault.LATE,
         OpenAiDouble(script(Saying(STORY), Saying(ANSWER), pace=1.5))),
    Case("deepgram-key", "refused", "401", EngineFault.REFUSED, DeepgramDouble(script()),
         "deepgram_agent", goes_on=("",)),
    Case("deepgram-text", "lost", "JSON object was expected", EngineFault.WRONG_KIND,
         DeepgramDouble(script()), "deepgram_agent", goes_on=AGAIN),
    Case("deepgram-dialect", "answered", "unknown event", EngineFault.DIALECT,
         DeepgramDouble(script()), "deepgram_agent"),
]  # fmt: skip
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
    """Start a gateway whose engines are well; then their faults are switched on."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "plan").mkdir()
    rules = [RULE.format(name=case.name) for case in CASES]
    (folder / "plan" / "plan.toml").write_text("".join(rules))
    (distrusted,) = (case.double for case in CASES if case.name == "no-trust")
    distrusted.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    distrusted.tls.load_cert_chain(*make_certificate(folder))
    distrusted.port = free_port()  # it comes up later: at its start the gateway would refuse it
    well = [case.double for case in CASES if case.double is not distrusted]
    with served(well) as doubles:
        config = {
            "agents": {case.name: agent(case) for case in CASES},
            "dialplan": {"directory": "plan"},
        }
        with live_gateway(folder, config) as running:
            doubles.run(doubles.start([distrusted]))
            for case in CASES:
                case.double.is_faulty_once = case.is_once
            yield Place(running, doubles)


def agent(case: Case) -> dict[str, Any]:
    s2s = {"provider": case.provider, **case.double.settings(), "connect_timeout_s": 1.0}
    return {
        "greeting": GREETING,
        "give_up": GIVE_UP,
        "s2s": {**s2s, "greeting": "engine", "on_failure": "apologize"},
        "tts": {"provider": "flite"},
        "tools": ["gateway.script.examples.front_desk_tools:opening_hours"],
        "filler": {"after_ms": 0},
    }


@pytest.mark.parametrize("early", [True, False], ids=["before the first word", "in a talk"])
def test_what_comes_of_a_fault(place: Place, early: bool):
    cases = [case for case in CASES if (case.ends == "refused") is early]

    async def scenario() -> None:
        spoken = [await voices.render(text) for text in SPOKEN]
        places = asyncio.Semaphore(AT_ONCE)

        async def one(case: Case) -> None:
            async with places:
                await lead(place.gateway, case, spoken)

        outcomes = await asyncio.gather(*map(one, cases), return_exceptions=True)
        wrong = {}
        for case, outcome in zip(cases, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                outcome.add_note(f"with {case.name}")
                wrong[case.name] = outcome
        if wrong:
            raise BaseExceptionGroup(f"not as it should be: {', '.join(wrong)}", [*wrong.values()])
        await place.gateway.free()
        for case in cases:  # no socket is left
            await asyncio.to_thread(place.doubles.run, case.double.all_gone())

    asyncio.run(scenario())


async def lead(gateway: LiveGateway, case: Case, spoken: Sequence[Samples]) -> None:
    """Lead one call and look at its record."""
    is_early = case.ends == "refused"
    case.double.fault = case.fault if is_early else EngineFault.NONE
    async with calling(gateway.uri(case.name), user=case.name) as phone:
        ear = LoudEar(phone)
        if not is_early:
            await ear.hears(length_ms(GREETING), 0)
            case.double.fault = case.fault
            await talk(phone, ear, case, spoken)
        if case.ends in {"refused", "lost"}:
            await phone.ended(15)
    case.double.fault = EngineFault.NONE
    record = await gateway.finished(phone.sip_call_id)
    events = gateway.events(record)
    losses = [event for event in events if event["kind"] == "engine_lost"]
    assert [event["goes_on"] for event in losses] == list(case.goes_on)
    notices = [event["text"] for event in events if event["kind"] == "engine_notice"]
    told = [*(event["problem"] for event in losses), *notices]
    assert all(re.search(case.problem, text) for text in told), told
    assert told or not case.problem
    heard = [turn["bot_text_heard"] or "" for turn in record["turns"]]
    assert events[-1]["kind"] == "call_ended"
    if case.ends in {"refused", "lost"}:
        assert heard[-1] == GIVE_UP
        assert (record["end_reason"], record["hung_up_by"]) == ("failed", "")
        assert re.search(case.problem, record["end_text"])
    else:
        assert heard[-1].endswith(ANSWER), heard
        assert record["end_reason"] == "caller_hung_up"
        assert ASKED in [turn["caller_text"] for turn in record["turns"]]
    assert case.double.problems == []


async def talk(phone: Telephone, ear: LoudEar, case: Case, spoken: Sequence[Samples]) -> None:
    """Ask, and in the case of a cut interrupt the answer."""
    said_ns = await say(phone, spoken[0])
    if case.ends == "lost":
        return
    if case.ends == "cut":
        await ear.hears(600, said_ns, pause_ms=0)
        said_ns = await say(phone, spoken[1])
    await ear.hears(length_ms(ANSWER), said_ns, pause_ms=1200)
    partner = case.double.peers[-1].partner
    assert partner is not None
    marks = [mark for mark in partner.marks if mark.what in {"stopped", "first sound"}]
    if case.ends == "cut":  # nothing of what came late is heard
        stopped, answered = marks[-2:]
        assert stopped.what == "stopped"
        assert ear.loud_ms(stopped.at_ns + 200_000_000, answered.at_ns) == 0
    elif case.name == "out-of-order":
        assert ear.loud_ms(said_ns) <= 1.1 * length_ms(ANSWER)


async def say(phone: Telephone, samples: Samples) -> int:
    _, last = phone.media.play(samples)
    await phone.until(lambda: len(phone.media.sent) > last, 30, "speech to be sent")
    return time.monotonic_ns()


def test_a_server_that_never_closes_holds_no_call_up(place: Place):
    (case,) = (case for case in CASES if case.name == "out-of-order")

    async def scenario() -> None:
        async with calling(place.gateway.uri(case.name)) as phone:
            await phone.bot_is_done(10)
            await asyncio.to_thread(place.doubles.run, deafen(case.double))
        left_s = time.monotonic()
        await place.gateway.finished(phone.sip_call_id, 5)
        await eventually(
            lambda: place.gateway.gauge("call_slots_used") == 0, 5, "the slot to be free"
        )
        assert time.monotonic() - left_s < 5
        await asyncio.to_thread(place.doubles.run, case.double.all_gone())

    asyncio.run(scenario())


async def deafen(double: EngineDouble) -> None:
    double.deafen()
