"""The provider in docs/add-a-provider.md works as printed: one file, nothing else."""

import asyncio
import json
import re
import sys
import types
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gateway.providers.tts
from gateway.audio.format import ANALYSIS
from gateway.audio.loudness import active_dbfs
from gateway.errors import ProviderRejected, ProviderUnavailable
from gateway.providers import registry
from gateway.providers.contracts import TextToSpeech
from tests.support.levels import first_sample_above
from tests.support.provider_contract import Subject
from tests.support.voice_contract import VoiceContract, speech

DOCUMENT = Path(__file__).parents[2] / "docs" / "add-a-provider.md"
NAME = "speech_server"


@pytest.fixture(autouse=True)
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the printed file where the folder of the providers is looked through."""
    source, _ = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / f"{NAME}.py").write_text(source)
    path = [*gateway.providers.tts.__path__, str(tmp_path)]
    monkeypatch.setattr(gateway.providers.tts, "__path__", path)
    yield
    sys.modules.pop(f"gateway.providers.tts.{NAME}", None)
    vars(gateway.providers.tts).pop(NAME, None)


@dataclass
class Server:
    """`POST /v1/audio/speech`: a tone of 50 ms per letter, after 300 ms of silence."""

    status: int = 200
    stalls: bool = False
    bodies: list[dict[str, object]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """The client closed a connection in mid-answer."""
    port: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer_one(head.decode().lower(), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()

    async def _answer_one(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        assert head.startswith("post /v1/audio/speech ")
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        self.bodies.append(json.loads(await reader.readexactly(length)))
        self.keys.append(head.partition("authorization: ")[2].split("\r\n")[0])
        writer.write(f"HTTP/1.1 {self.status} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        pcm = tone(str(self.bodies[-1]["input"]))
        for at in range(0, len(pcm), 4801):  # odd: chunks of a network know no samples
            chunk = pcm[at : at + 4801]
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
        if self.stalls:
            await reader.readexactly(1)
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def tone(text: str) -> bytes:
    at = np.arange(24_000 * 50 * len(text) // 1000) / 24_000
    wave = np.sin(2 * np.pi * 440 * at) * 0.1 * np.sqrt(2) * 32767
    return bytes(2 * 7200) + wave.astype("<i2").tobytes()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[TextToSpeech]:
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{server.port}/v1"
    tts = registry.create("tts", {"provider": NAME, "base_url": url, "api_key": "secret"})
    async with listener:
        yield tts
        await tts.close()
        await tts.close()


class TestContract(VoiceContract):
    @pytest.fixture
    def provider(self) -> Subject:
        return Subject("tts", NAME, {"api_key": "secret"}, listening)


@asynccontextmanager
async def listening() -> AsyncIterator[Mapping[str, Any]]:
    server = Server()
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    async with listener:
        yield {"base_url": f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"}


def test_it_is_listed_like_any_other():
    info = {info.name: info for info in registry.available("tts")}[NAME]
    assert info.available
    assert info.summary == "Any server with OpenAI's /v1/audio/speech."
    assert isinstance(registry.load("tts", NAME), types.ModuleType)


def test_it_speaks_what_the_server_sends():
    async def run() -> None:
        server = Server()
        async with serving(server) as tts:
            await tts.warm_up()
            pcm = await speech(tts, "Hello, world")
        assert server.bodies[-1]["input"] == "Hello, world"
        assert server.bodies[-1]["response_format"] == "pcm"
        assert server.keys[-1] == "bearer secret"
        assert ANALYSIS.seconds(pcm) == pytest.approx(12 * 0.05 + 0.135, abs=0.02)
        assert active_dbfs(pcm, 8000) == pytest.approx(-20, abs=1)
        assert (first_sample_above(pcm, 500) or 0) < 8 * 60
        spectrum = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2").astype(float)))
        assert np.argmax(spectrum) * 8000 / (len(pcm) // 2) == pytest.approx(440, abs=5)

    asyncio.run(run())


def test_cut_in_mid_sentence_the_request_is_closed_at_the_socket():
    async def run() -> None:
        server = Server(stalls=True)
        async with serving(server) as tts:
            chunks = tts.speak("A long sentence that is interrupted.")
            assert await anext(chunks)
            await chunks.aclose()  # type: ignore[attr-defined]
            async with asyncio.timeout(2):
                await server.gone.wait()
            server.stalls = False
            assert await speech(tts, "Still here.")

    asyncio.run(run())


def test_a_refusal_is_final_and_an_overload_is_not():
    async def run() -> None:
        server = Server(status=401)
        async with serving(server) as tts:
            with pytest.raises(ProviderRejected, match="401"):
                await speech(tts, "Yes.")
            server.status = 503
            with pytest.raises(ProviderUnavailable, match="503"):
                await speech(tts, "Yes.")

    asyncio.run(run())


def test_no_server_is_told():
    async def run() -> None:
        tts = registry.create("tts", {"provider": NAME, "base_url": "http://127.0.0.1:1/v1"})
        with pytest.raises(ProviderUnavailable):
            await tts.warm_up()
        await tts.close()

    asyncio.run(run())
