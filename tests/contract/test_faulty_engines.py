"""Engines behind sockets that fail: what their providers make of it, and the next request."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.audio.format import NARROWBAND
from gateway.errors import ProviderUnavailable
from gateway.probe import voices
from gateway.providers import registry
from gateway.providers.contracts import Expect
from gateway.providers.kit.speech import speech
from gateway.recognizer.process import RecognizerProcess
from tests.support import faults
from tests.support.asking import QUESTION
from tests.support.faulty_engines import FaultyPath, VoiceServer
from tests.support.plug_in import plug_in

DOCUMENT = Path(__file__).parents[2] / "docs" / "add-a-provider.md"
SENTENCE = "We open at eight o'clock."


@pytest.fixture
def speech_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The provider of the document, in a package of its own."""
    source, _ = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    plug_in(tmp_path, "tts", "speech_of_a_test", source)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "speech_of_a_test"
    sys.modules.pop("speech_of_a_test", None)


def loud_s(pcm: bytes) -> float:
    return float((np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 300).sum()) / 8000


@pytest.mark.parametrize(
    ("fault", "is_heard"), [("down", False), ("garbage", False), ("stall", True), ("close", True)]
)
def test_a_voice_that_fails(speech_server: str, fault: str, is_heard: bool) -> None:
    async def test() -> None:
        async with VoiceServer() as server:
            url = f"http://127.0.0.1:{server.port}/v1"
            table = {"provider": speech_server, "base_url": url, "model": "x", "timeout_s": 0.5}
            tts = registry.create("tts", table)
            server.faults["x"] = fault
            heard = b""
            began_s = time.monotonic()
            with pytest.raises(ProviderUnavailable):  # noqa: PT012 (what came before counts)
                async for part in speech(tts, SENTENCE, NARROWBAND):
                    heard += part.pcm
            assert time.monotonic() - began_s < 5
            server.faults.clear()
            whole = b"".join([part.pcm async for part in speech(tts, SENTENCE, NARROWBAND)])
            assert loud_s(whole) > 0.3
            assert (loud_s(heard) > 0.1) is is_heard
            assert loud_s(heard) < 0.9 * loud_s(whole)
            await tts.close()

    asyncio.run(test())


@pytest.fixture(scope="module")
def recognizer() -> Iterator[Path]:
    async def enter() -> RecognizerProcess:
        return await process.__aenter__()

    process = RecognizerProcess()
    with asyncio.Runner() as runner:
        runner.run(enter())
        yield process.socket
        runner.run(process.__aexit__(None, None, None))


@pytest.mark.parametrize("fault", ["slow", "stall", "garbage", "close"])
def test_a_recognizer_that_fails(
    recognizer: Path, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "SLOW_S", 1.0)

    async def text_of(stt, pcm: bytes) -> str:
        async with stt.stream(Expect()) as stream:
            stream.push(pcm)
            stream.request_transcript()
            async for transcript in stream:
                if transcript.requested:
                    return transcript.text
        raise AssertionError("the stream has ended")

    async def test() -> None:
        pcm = (await voices.render(QUESTION)).astype("<i2").tobytes()
        async with FaultyPath(tmp_path / "path.sock") as path:
            stt = registry.create("stt", {"provider": "moonshine", "socket": str(path.socket)})
            await stt.warm_up()
            await asyncio.sleep(0.1)
            path.behind = recognizer
            path.fault = fault
            began_s = time.monotonic()
            if fault == "slow":
                assert "open" in (await text_of(stt, pcm)).lower()
                assert time.monotonic() - began_s >= 1.0
            elif fault == "stall":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(2):
                        await text_of(stt, pcm)
            else:
                with pytest.raises(ProviderUnavailable):
                    await text_of(stt, pcm)
            path.fault = ""
            assert "open" in (await text_of(stt, pcm)).lower()
            await stt.close()

    asyncio.run(test())
