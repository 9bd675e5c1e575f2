"""What reaches a voice, seen by a synthesizer that writes down what it is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.beside import beside
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.llm_server import Answer, LlmServer
from tests.support.outside import Telephone, calling
from tests.support.plug_in import plug_in

GREETING = "Welcome to *Café* No. 5, open Mon-Fri, 9-5."
ANSWER = "**Total:** your bill is $3.50 for `tea`. See https://example.com/a [1]. 😀"
SAYS = "Your table is booked for 7:30 PM. 👍"
VOICE = '''
"""Says a tone for each text and writes the text down."""

import math
import struct

from gateway.audio.format import NARROWBAND
from gateway.providers.contracts import ProviderSettings, Spoken

SUMMARY = "Tones of a test."
TONE = struct.pack("<1600h", *(round(9000 * math.sin(at * 0.4)) for at in range(1600)))


class Settings(ProviderSettings):
    file: str


class Tones:
    output_format = NARROWBAND

    def __init__(self, settings):
        self._file = settings.file

    async def warm_up(self):
        pass

    async def speak(self, text):
        with open(self._file, "a") as file:
            file.write(text + "\\n")
        yield Spoken(TONE)

    async def close(self):
        pass


def create(settings):
    return Tones(settings)


def probe():
    return ""
'''


@dataclass(frozen=True)
class Place:
    gateway: LiveGateway
    llm: LlmServer
    spoken: Path

    @property
    def texts(self) -> list[str]:
        return self.spoken.read_text().splitlines()

    async def has_said(self, phone: Telephone, text: str, since_ns: int) -> None:
        """Fixed texts are rendered ahead: that it was given to the voice is not enough."""
        await phone.until(lambda: text in self.texts, 15, f"{text!r}")
        await phone.bot_is_done(since_ns=since_ns)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("spoken")
    environ = plug_in(folder / "plug-in", "tts", "tones", VOICE)
    spoken = folder / "spoken.txt"
    plans = folder / "plans"
    plans.mkdir()
    (plans / "plan.toml").write_text(
        '[[contexts.default.extensions]]\nname = "desk"\ncalled = "100"\n'
        'steps = [{ talk = "desk" }]\n'
        '[[contexts.default.extensions]]\nname = "say"\ncalled = "200"\n'
        'steps = [{ say = "Call 555-1234 w/o delay." }]\n'
    )
    with beside(LlmServer()) as llm:
        agent = {
            "greeting": GREETING,
            "fallback": "Sorry @ 5.",
            "speculation": {"enabled": False},
            "llm": {"provider": "openai", "model": "any", "base_url": llm.base_url},
            "tts": {"provider": "tones", "file": str(spoken)},
        }
        config = {"agents": {"desk": agent}, "dialplan": {"directory": str(plans)}}
        with live_gateway(folder, config, environ) as gateway:
            yield Place(gateway, llm, spoken)


def test_every_text_of_a_call_is_read_aloud_and_kept_as_it_was_written(place: Place) -> None:
    async def scenario() -> None:
        place.llm.script.append(Answer(text=ANSWER, token_ms=5))
        async with calling(place.gateway.uri("100")) as phone:
            await phone.bot_is_done()
            said_ns = await phone.say("What do I have to pay?")
            await place.has_said(phone, "See example dot com slash a.", said_ns)
            place.llm.script.extend([Answer(text="😀👍")] * 2)  # without sound: asked once more
            said_ns = await phone.say("And what else is there to pay?")
            await place.has_said(phone, "Sorry at five.", said_ns)
            (call,) = (await place.gateway.ask_beside("GET", "/v1/calls?active=true")).json()[
                "calls"
            ]
            path = f"/v1/calls/{call['call_id']}/say"
            quiet_ns = phone.listener.last_ns or 0
            assert (await place.gateway.ask_beside("POST", path, {"text": SAYS})).is_success
            await place.has_said(phone, "Your table is booked for seven thirty P M.", quiet_ns)
        records.append(await place.gateway.finished(phone.sip_call_id))
        async with calling(place.gateway.uri("200")) as phone:
            await phone.ended()

    records: list[dict[str, Any]] = []
    asyncio.run(scenario())
    texts = place.texts
    for text in (
        "Sorry at five.",
        "Welcome to Cafe number five,",
        "open Monday to Friday, nine to five.",
        "Call five five five, one two three four without delay.",
        "Total:",
        "your bill is three dollars and fifty cents for tea.",
        "See example dot com slash a.",
        "Your table is booked for seven thirty P M.",
    ):
        assert text in texts
    assert not [text for text in texts if set("*$`[]@#😀👍") & set(text)]
    assert not [r for r in place.llm.requests if "😀👍" in json.dumps(r.body, ensure_ascii=False)]
    (record,) = records
    generated = [turn["bot_text_generated"] for turn in record["turns"]]
    heard = [turn["bot_text_heard"] for turn in record["turns"]]
    assert generated[:2] == heard[:2] == [GREETING, ANSWER]
    assert "Sorry @ 5." in heard, json.dumps(record["turns"], indent=1)
    assert SAYS in heard
