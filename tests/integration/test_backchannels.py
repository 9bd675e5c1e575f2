"""A caller who only says "mm-hmm" or the like into a reply hears it to its end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.audio.format import NARROWBAND
from gateway.errors import ProviderError
from gateway.probe.g711 import Samples
from gateway.providers.kit.speech import speech
from gateway.providers.tts import espeak
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import Telephone, calling

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
QUESTION = "What can you do for me?"
"""Its answer lasts some seconds."""
INTO_IT_S = 1.9
"""Sooner, the caller might be going on with the question."""
PEAK = 8000


@pytest.mark.parametrize("word", ["Mm-hmm.", "Yeah."])
def test_a_nod_does_not_take_the_floor(tmp_path: Path, word: str) -> None:
    with live_gateway(tmp_path, {"agents": {"desk": {"llm": {"provider": "script"}}}}) as gateway:
        record = asyncio.run(nod(gateway, word))
    answers = [turn for turn in record["turns"] if turn["caller_text"]]
    assert len(answers) == 1, record["turns"]  # nothing else was answered
    (answer,) = answers
    assert not answer["interrupted"]
    assert answer["bot_text_heard"] == answer["bot_text_generated"]
    assert answer["false_interruptions"], "the nod was not heard at all"


async def nod(gateway: LiveGateway, word: str) -> dict[str, Any]:
    """Ask, nod into the answer, hear it out; gives the record."""
    said = await rendered(word)
    async with calling(gateway.uri()) as phone:
        await phone.bot_is_done(30)
        asked_ns = time.monotonic_ns()
        await phone.say(QUESTION)
        await phone.bot_speaks(15, asked_ns)
        await phone.until(lambda: spoke_for_s(phone) > INTO_IT_S, 15, "the bot in mid-answer")
        _, last = phone.media.play(said)
        await phone.until(lambda: len(phone.media.sent) > last, 30, "the nod to be sent")
        await phone.bot_is_done(30, time.monotonic_ns())
    return await gateway.finished(phone.sip_call_id)


async def rendered(word: str) -> Samples:
    """A voice that hums its "mm-hmm": flite's spell it."""
    engine = espeak.create(espeak.Settings(voice="en-us"))
    try:
        pcm = b"".join([part.pcm async for part in speech(engine, word, NARROWBAND)])
    except ProviderError as exc:
        pytest.skip(f"no espeak-ng: {exc}")
    finally:
        await engine.close()
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    return (samples * PEAK / np.abs(samples).max()).astype(np.int16)


def spoke_for_s(phone: Telephone) -> float:
    start_ns = phone.listener.spurt_start_ns
    return 0.0 if start_ns is None else (time.monotonic_ns() - start_ns) / 1e9
