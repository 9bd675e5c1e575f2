"""A caller who asks, and measures on the wire how long nothing was heard."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.probe import voices
from gateway.probe.timeline import loud_instants
from tests.support.beside import beside
from tests.support.llm_server import Answer, LlmServer
from tests.support.outside import Telephone

HEARD_WITHIN_MS = 2000
QUESTION = "When do you open tomorrow?"


async def ask(phone: Telephone, question: str = QUESTION) -> float:
    """Ask; gives how many ms after the last word something was heard (0: already then)."""
    first, last = phone.media.play(await voices.render(question))
    await phone.until(lambda: len(phone.media.sent) > last, 30, "speech to be sent")
    spoken = loud_instants(phone.media.sent[first : last + 1])
    await phone.until(lambda: phone.listener.has_spoken_since(int(spoken[0])), 12, "the bot")
    audio = [p.audio for p in phone.media.received if p.audio and p.audio.at_ns > spoken[0]]
    return max(0.0, (int(loud_instants(audio)[0]) - int(spoken[-1])) / 1e6)


async def is_answered(phone: Telephone, question: str = QUESTION) -> None:
    """Ask, hear something in time and hear it out."""
    waited_ms = await ask(phone, question)
    assert waited_ms <= HEARD_WITHIN_MS, f"{waited_ms:.0f} ms of silence"
    await phone.bot_is_done()
    assert not phone.call.ended.is_set()


@contextmanager
def quick_desk() -> Iterator[dict[str, Any]]:
    """An agent of few words, behind a language model that is well."""
    with beside(LlmServer(default=Answer(text="At eight o'clock."))) as llm:
        model = {"provider": "openai", "model": "quick", "base_url": llm.base_url}
        yield {"greeting": "Good morning.", "llm": model}


def is_quiet(phone: Telephone, silence_ms: int) -> bool:
    return phone.listener.is_quiet_for(time.monotonic_ns(), silence_ms)


def largest_gap_ms(phone: Telephone, since_ns: int) -> float:
    """Between two packets that followed each other."""
    times = [packet.at_ns for packet in phone.media.received if packet.at_ns >= since_ns]
    return max((b - a) / 1e6 for a, b in itertools.pairwise(times))
