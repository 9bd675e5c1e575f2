"""Vosk: the real package without a model, the streaming with a scripted engine."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.errors import ProviderProtocolError, ProviderUnavailable
from gateway.providers.contracts import Expect
from gateway.providers.stt import vosk
from tests.support.recognizer_contract import RecognizerContract, RecognizerSubject

FRAME = bytes(320)
ANYTHING = Expect()


class ScriptedRecognizer:
    """Hears one word per 100 ms and settles after every third, as an endpoint does."""

    def __init__(self, words, rate_hz=8000):
        self._words = list(words)
        self._step_bytes = rate_hz // 10 * 2
        self._open = []

    def AcceptWaveform(self, data):  # noqa: N802
        for _ in range(len(data) // self._step_bytes):
            if self._words:
                self._open.append(self._words.pop(0))
        return len(self._open) >= 3

    def PartialResult(self):  # noqa: N802
        return json.dumps({"partial": " ".join(self._open)})

    def Result(self):  # noqa: N802
        settled, self._open = self._open, []
        return json.dumps({"text": " ".join(settled)})

    FinalResult = Result


class HearingRecognizer(ScriptedRecognizer):
    """Hears its words in what is not silence, one per step of the provider."""

    def AcceptWaveform(self, data):  # noqa: N802
        return super().AcceptWaveform(data) if any(data) else 0


class TestContract(RecognizerContract):
    """The provider with an engine of a test: no model of vosk comes with the tests."""

    @pytest.fixture
    def provider(self):
        words = ("one", "two", "three", "four")

        def make():
            return vosk.Vosk(vosk.Model(lambda: lambda rate: HearingRecognizer(words, rate)))

        return RecognizerSubject(
            "stt", "vosk", {"model": "/nonexistent/model"},
            make=make,
            sound=b"\1\0" * 3200, words=words,
        )  # fmt: skip


class BrokenRecognizer(ScriptedRecognizer):
    def AcceptWaveform(self, data):  # noqa: N802
        if any(data):
            raise Exception("Failed to process waveform")  # noqa: TRY002 - what vosk raises
        return 0


def transcripts(open_recognizer, body, expect=ANYTHING):
    async def run():
        provider = vosk.Vosk(vosk.Model(lambda: open_recognizer))
        seen = []
        try:
            async with asyncio.timeout(10), provider.stream(expect) as stream:
                await body(stream, seen)
        finally:
            await provider.close()
        return seen

    return asyncio.run(run())


def script(text):
    """Every new recognizer says the same; the warm-up spends one of its own."""
    return lambda _rate_hz: ScriptedRecognizer(text.split())


async def push_all(stream, seen, frames):
    """Push step by step, waiting for the partial that each step brings."""
    results = aiter(stream)
    for number in range(frames):
        stream.push(FRAME)
        if (number + 1) % 5 == 0:
            seen.append(await anext(results))
    stream.request_transcript()
    seen.append(await anext(results))


def test_partials_then_final_over_settled_stretches():
    seen = transcripts(script("one two three four"), lambda s, seen: push_all(s, seen, 20))
    assert [t.text for t in seen] == [
        "one",
        "one two",
        "one two three",
        "one two three four",
        "one two three four",
    ]
    assert [t.audio_end_samples for t in seen] == [800, 1600, 2400, 3200, 3200]
    assert [t.requested for t in seen] == [False] * 4 + [True]


def test_turn_that_goes_on_after_a_request_keeps_its_text():
    async def body(stream, seen):
        await push_all(stream, seen, 5)
        await push_all(stream, seen, 5)

    seen = transcripts(script("one two three"), body)
    assert [t.text for t in seen if t.requested] == ["one", "one two"]


def test_request_covers_audio_shorter_than_a_step():
    async def body(stream, seen):
        stream.push(FRAME)
        stream.request_transcript()
        seen.append(await anext(aiter(stream)))

    [final] = transcripts(script("one"), body)
    assert final.requested
    assert final.audio_end_samples == 160


def test_expected_phrase_is_named():
    expect = Expect(kind="choice", choices=("Opening hours", "Order drinks"))
    seen = transcripts(script("opening hours"), lambda s, seen: push_all(s, seen, 10), expect)
    assert [t.choice for t in seen] == [None, None, "Opening hours"]


def test_fault_of_the_engine_is_translated():
    async def body(stream, seen):
        stream.push(b"\1\0" * 800)
        seen.append(await anext(aiter(stream)))

    with pytest.raises(ProviderProtocolError, match="Failed to process"):
        transcripts(lambda _rate_hz: BrokenRecognizer([]), body)


def test_closed_stream_ends_its_iteration():
    async def body(stream, seen):
        stream.close()
        seen.extend([t async for t in stream])

    assert transcripts(script("one"), body) == []


def test_missing_package_is_a_clear_error(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "vosk", None)
    with pytest.raises(ProviderUnavailable, match="pip install vosk"):
        vosk.load(tmp_path)


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("junk\n")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (None, "model folder missing"),
        ((), "final.mdl, mfcc.conf"),
        (("am/final.mdl", "graph/HCLG.fst"), "conf/mfcc.conf, conf/model.conf"),
        (("am/final.mdl", "conf/mfcc.conf", "conf/model.conf", "graph/Gr.fst"), "graph/HCLG.fst"),
    ],
)
def test_folder_that_is_no_model_is_refused_with_the_way_out(tmp_path, files, problem):
    folder = tmp_path / "model"
    if files is not None:
        folder.mkdir()
        fill(folder, *files)
    with pytest.raises(ProviderUnavailable, match=problem) as caught:
        vosk.check_folder(folder)
    assert "alphacephei.com/vosk/models" in str(caught.value)
    assert str(folder) in str(caught.value)


def test_real_package_refuses_a_broken_model(tmp_path, capfd):
    pytest.importorskip("vosk")
    fill(tmp_path, "am/final.mdl", "conf/mfcc.conf", "conf/model.conf", "graph/HCLG.fst")
    for name in ("conf/mfcc.conf", "conf/model.conf"):
        (tmp_path / name).write_text("# nothing\n")
    with pytest.raises(ProviderUnavailable, match="is broken"):
        vosk.load(tmp_path)
    capfd.readouterr()
