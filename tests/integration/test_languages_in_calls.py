"""A call in German that goes on in English and comes back, by the front door.

The voice is espeak's; the recognizer is Deepgram's double, which is told the language.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.deepgram_listen_double import DeepgramListenDouble
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.llm_server import Answer, Call, LlmServer
from tests.support.outside import calling
from tests.support.plug_in import plug_in

GREETING = "Guten Tag, hier ist das Café am Hafen."
HEARD = ["Was kostet der Tisch?", "Und am Montag?", "Do you speak English?", "How much is it?",
         "Und auf Deutsch?"]  # fmt: skip
VOICE = '''
"""The voice espeak, which writes down what it is asked to say."""

from pathlib import Path

from gateway.providers.tts import espeak
from gateway.providers.tts.espeak import Settings, in_language, languages, probe

SUMMARY = "espeak, written down"


class Written(espeak.Espeak):
    async def speak(self, text):
        with Path({file!r}).open("a", encoding="utf-8") as file:
            file.write(f"{{self.language}}|{{text}}\\n")
        async for spoken in super().speak(text):
            yield spoken


def create(settings: Settings) -> Written:
    return Written(settings)
'''


def agent_of(double: DeepgramListenDouble, llm: LlmServer) -> dict[str, Any]:
    url = f"http://127.0.0.1:{llm.port}/v1"
    return {
        "language": "de",
        "languages": {"en": {}},
        "greeting": GREETING,
        "instructions": "Du bist der Empfang.",
        "stt": {**double.settings(), "provider": "deepgram"},
        "llm": {
            "provider": "openai", "model": "m", "base_url": url, "api_key": "k", "max_retries": 0,
        },
        "tts": {"provider": "written_espeak"},
        "turn": {"by": "recognizer"},  # the double answers once in each turn
        "speculation": {"enabled": False},
        "builtin_tools": ["hang_up", "change_language"],
    }  # fmt: skip


SCRIPT = (
    Answer(text="Das kostet 12,50 € am 3. Mai um 15:30 Uhr.", first_token_ms=2500),
    Answer(status=500),
    Answer(text="One moment.", calls=(Call("change_language", '{"language": "en"}'),)),
    Answer(text="Now I speak English."),
    Answer(text="It costs $12.50 on May 3."),
    Answer(text="Das macht 21 €."),
)


ANSWERS = (
    "de|Das kostet zwölf Euro fünfzig am dritten Mai um fünfzehn Uhr dreißig.",
    "",  # the fallback
    "en|Now I speak English.",
    "en|It costs twelve dollars and fifty cents on May third.",
    "de|Das macht einundzwanzig Euro.",
)
"""What the voice is asked to say for each question."""


async def led(gateway: LiveGateway, said: Path) -> dict[str, Any]:
    """Lead the call; return its record."""
    async with calling(gateway.uri()) as phone:

        async def ask(question: str, answer: str) -> None:
            since_ns = await phone.say(question)
            if answer:  # a filler, or an announcement, may come before
                await eventually(lambda: answer in said.read_text("utf-8"), 12, answer)
                since_ns = time.monotonic_ns()
            await phone.bot_speaks(12, since_ns)
            await phone.bot_is_done(20, since_ns)

        await phone.bot_is_done()
        for question, answer in zip(HEARD[:4], ANSWERS[:4], strict=True):
            await ask(question, answer)
        (call,) = (await gateway.ask_beside("GET", "/v1/calls?active=true")).json()["calls"]
        path = f"/v1/calls/{call['call_id']}/language"
        unknown = await gateway.ask_beside("POST", path, {"language": "fr"})
        assert unknown.status_code == 422
        assert "it may: de, en" in unknown.json()["error"]["message"]
        changed = await gateway.ask_beside("POST", path, {"language": "de-AT"})
        assert changed.status_code == 204, changed.text
        await ask(HEARD[4], ANSWERS[4])
    return await gateway.finished(phone.sip_call_id)


def test_a_call_in_german_goes_on_in_english_and_comes_back(tmp_path: Path):
    said = tmp_path / "said.txt"
    environ = plug_in(tmp_path / "plug-in", "tts", "written_espeak", VOICE.format(file=str(said)))

    async def scenario() -> None:
        double = DeepgramListenDouble([*HEARD, "", ""])
        with ExitStack() as stack:
            async with double.running(), LlmServer(*SCRIPT) as llm:
                config = {"agents": {"desk": agent_of(double, llm)}}
                opened = live_gateway(tmp_path / "gateway", config, environ)
                gateway = await asyncio.to_thread(stack.enter_context, opened)
                record = await led(gateway, said)
            says = gateway.events(record, "bot_says")
            changes = gateway.events(record, "language_changes")
        fillers = [e["text"] for e in says if e["is_filler"]]
        assert fillers[0] == "Einen Moment, bitte.", fillers  # a busy machine needs more of them
        assert any(e["text"].startswith("Entschuldigung,") for e in says), says
        steps = [(e["before"], e["language"], e["by"]) for e in changes]
        assert steps == [("de", "en", "agent"), ("en", "de", "api")]
        told = [(p.asked["model"], p.asked.get("language_hint")) for p in double.peers if p.audio]
        assert told[0] == told[-1] == ("flux-general-multi", "de")
        assert ("flux-general-en", None) in told
        assert double.problems == []
        instructions = [seen.body["messages"][0]["content"] for seen in llm.completions]
        assert instructions[0] == "Du bist der Empfang."
        assert instructions[-2].endswith("Speak English with the caller.")
        assert instructions[-1].endswith("Speak German with the caller.")
        assert [turn["caller_text"] for turn in record["turns"] if turn["caller_text"]] == HEARD

    asyncio.run(scenario())
