"""The WebSocket voice in docs/add-a-provider.md works as printed, and so do its errors."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.audio.format import NARROWBAND
from gateway.audio.loudness import active_dbfs
from gateway.errors import (
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers import registry
from gateway.providers.contracts import AssistantMessage, TextToSpeech
from tests.support.faults import Fault
from tests.support.levels import first_sample_above
from tests.support.plug_in import plug_in
from tests.support.provider_contract import Subject
from tests.support.scene import GREETING, Scene, text
from tests.support.vendor_double import KEY, VendorDouble
from tests.support.voice_contract import VoiceContract, speech

DOCUMENT = Path(__file__).parents[2] / "docs" / "add-a-provider.md"
NAME = "streaming_voice"


@pytest.fixture(autouse=True)
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the printed file as a package of its own."""
    _, source = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    plug_in(tmp_path, "tts", f"{NAME}_of_a_test", source)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop(f"{NAME}_of_a_test", None)


def run(test: Callable[[VendorDouble, TextToSpeech], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), VendorDouble() as vendor:
            table = {"provider": f"{NAME}_of_a_test", "url": vendor.url, "api_key": KEY}
            tts = registry.create("tts", {**table, "timeout_s": 0.5})
            await tts.warm_up()
            await test(vendor, tts)
            await vendor.all_gone()
            await tts.close()

    asyncio.run(main())


def test_it_speaks():
    async def test(vendor: VendorDouble, tts: TextToSpeech) -> None:
        pcm = await speech(tts, "Good morning.")
        assert NARROWBAND.seconds(pcm) == pytest.approx(13 * 0.05 + 0.12, abs=0.03)
        assert active_dbfs(pcm, 8000) == pytest.approx(-20, abs=1)
        assert (first_sample_above(pcm, 500) or 0) < 8 * 60
        assert vendor.paths[-1] == "/speak?voice=anna"

    run(test)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.REFUSED, ProviderRejected),
        (Fault.DOWN, ProviderUnavailable),
        (Fault.STALL, ProviderTimeout),
        (Fault.GARBAGE, ProviderProtocolError),
        (Fault.CLOSE, ProviderUnavailable),
    ],
)
def test_it_fails_as_it_should_and_recovers(fault: Fault, error: type[Exception]):
    async def test(vendor: VendorDouble, tts: TextToSpeech) -> None:
        vendor.fault = fault
        with pytest.raises(error) as caught:
            await speech(tts, "Good morning.")
        assert type(caught.value) is error
        vendor.fault = Fault.NONE
        assert await speech(tts, "Good morning.")

    run(test)


def test_cut_in_mid_sentence_the_connection_is_gone():
    async def test(vendor: VendorDouble, tts: TextToSpeech) -> None:
        vendor.fault = Fault.STALL
        chunks = tts.speak("A long sentence that is interrupted.")
        assert await anext(chunks)
        vendor.gone.clear()
        await chunks.aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(0.4):
            await vendor.gone.wait()

    run(test)


class TestContract(VoiceContract):
    @pytest.fixture
    def provider(self) -> Subject:
        @asynccontextmanager
        async def server() -> AsyncIterator[Mapping[str, Any]]:
            async with VendorDouble() as vendor:
                yield {"url": vendor.url}
                await vendor.all_gone()

        return Subject("tts", f"{NAME}_of_a_test", {"api_key": KEY}, server)


def converse(script: Callable[[Scene, VendorDouble], Awaitable[None]]) -> tuple[Scene, int]:
    """Lead a conversation in real time; return it, and how often the voice has connected."""

    async def main() -> tuple[Scene, int]:
        async with asyncio.timeout(60), VendorDouble() as vendor:
            table = {"provider": f"{NAME}_of_a_test", "url": vendor.url, "api_key": KEY}
            tts = registry.create("tts", table)
            replies = [text("One. Two."), text("Three. Four."), text("Five.")]
            scene = Scene(replies, ["A.", "B.", "C."], voice=tts, fallback="Sorry.")
            await scene.voice.render_ahead(["Sorry."])
            before = vendor.attempts
            await scene._play(lambda scene: script(scene, vendor))
            await vendor.all_gone()
            await tts.close()
            return scene, vendor.attempts - before

    return asyncio.run(main())


def said(scene: Scene) -> list[str]:
    return [each.text for each in scene.history if isinstance(each, AssistantMessage)]


async def turn(scene: Scene) -> None:
    """Say something and hear the answer out."""
    scene.line.speak(0.5)
    await spoken(scene)


async def spoken(scene: Scene) -> None:
    """Wait for the end of one more reply."""
    before = len(scene.notes.turns)
    async with asyncio.timeout(15):
        while len(scene.notes.turns) == before:  # noqa: ASYNC110 - notes have no event
            await asyncio.sleep(0.05)


def test_a_conversation_needs_one_connection():
    async def script(scene: Scene, vendor: VendorDouble) -> None:
        await spoken(scene)
        await turn(scene)
        await turn(scene)

    scene, connections = converse(script)
    assert said(scene) == [GREETING, "One. Two.", "Three. Four."]
    assert connections == 1


def test_a_connection_that_is_lost_in_silence_costs_nothing():
    async def script(scene: Scene, vendor: VendorDouble) -> None:
        await spoken(scene)
        vendor.drop_all()
        await turn(scene)

    scene, connections = converse(script)
    assert said(scene) == [GREETING, "One. Two."]
    assert connections == 2
    assert not scene.data("engine_failed")


def test_a_connection_that_is_lost_in_mid_sentence_costs_that_sentence():
    async def script(scene: Scene, vendor: VendorDouble) -> None:
        await spoken(scene)
        vendor.fault = Fault.CLOSE
        await turn(scene)
        vendor.fault = Fault.NONE
        await spoken(scene)  # the fallback
        await turn(scene)

    scene, _ = converse(script)
    assert said(scene)[-1] == "Three. Four."
    assert len(scene.data("engine_failed")) == 1
