"""What every recognizer file promises, and moonshine for real in its own process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from gateway.audio.converter import convert_once
from gateway.audio.format import NARROWBAND, WIDEBAND
from gateway.errors import ProviderUnavailable
from gateway.providers import registry
from gateway.providers.contracts import Expect
from gateway.providers.stt import moonshine
from gateway.recognizer import process as recognizer_process
from gateway.recognizer.client import RecognizerClient
from gateway.recognizer.moonshine import MoonshineModel
from gateway.recognizer.process import RecognizerProcess
from gateway.recognizer.protocol import (
    Decode,
    Decoded,
    EndOfTurnScore,
    FrameReader,
    Refused,
    encode,
)
from gateway.recognizer.smart_turn import model_file
from tests.support.live_gateway import eventually
from tests.support.processes import running_program
from tests.support.recognizer_contract import RecognizerContract, RecognizerSubject
from tests.support.speech import speak

ANYTHING = Expect()
SENTENCE = "I would like to order two cups of coffee please."
ELSEWHERE = {
    "vosk": "test_vosk.py",  # its model is not installed here: with an engine of its own
    "deepgram": "test_deepgram_listen.py",
    "openai_http": "test_openai_http.py",
    **dict.fromkeys(
        ("cartesia", "elevenlabs", "google", "inworld", "kyutai", "openai"), "test_recognizers.py"
    ),
}
"""Recognizers that inherit the contract in another file."""


def test_every_recognizer_keeps_the_contract():
    names = {info.name for info in registry.available("stt")}
    assert names == {"moonshine"} | ELSEWHERE.keys()
    for name, file in ELSEWHERE.items():
        text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        assert f'"{name}"' in text
        assert "(RecognizerContract)" in text


class TestMoonshine(RecognizerContract):
    @pytest.fixture
    def provider(self, socket):
        settings = {"socket": str(socket), "partial_ms": 60_000}
        words = ("like", "order", "cups", "coffee", "please")
        return RecognizerSubject(
            "stt", "moonshine", settings, sound=speak(SENTENCE, "rms"), words=words
        )


# --- moonshine, for real -------------------------------------------------------------------


@pytest.fixture(scope="module")
def socket():
    if hint := moonshine.probe():
        pytest.skip(hint)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "socket"
        command = [sys.executable, "-m", "gateway.recognizer", "--socket", str(path)]
        with running_program(command, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"ready\n"
            yield path
            process.terminate()
            assert process.wait(10) == 0
        assert not path.exists()


def run_with(socket, body, **settings):
    """Run `body(provider)` on a provider connected to the recognizer."""

    async def run():
        provider = moonshine.create(moonshine.Settings(socket=str(socket), **settings))
        await provider.warm_up()
        try:
            async with asyncio.timeout(60):
                return await body(provider)
        finally:
            await provider.close()

    return asyncio.run(run())


def words(text):
    return "".join(c for c in text.lower() if c.isalnum() or c == " ").split()


async def recognize(provider, pcm, expect=ANYTHING, chunk_bytes=320):
    """Push, ask, and give all transcripts up to the requested one."""
    seen = []
    async with provider.stream(expect) as stream:
        for start in range(0, len(pcm), chunk_bytes):
            stream.push(pcm[start : start + chunk_bytes])
        stream.request_transcript()
        async with aclosing(aiter(stream)) as transcripts:
            async for transcript in transcripts:
                seen.append(transcript)
                if transcript.requested:
                    break
    return seen


async def all_of(stream):
    return [transcript async for transcript in stream]


async def settled(client):
    """Wait until the recognizer has answered everything; the time limit is the test's."""
    while client.pending:  # noqa: ASYNC110 - answers come by callback
        await asyncio.sleep(0.01)


def test_recognizes_a_sentence(socket):
    pcm = speak(SENTENCE)
    final = run_with(socket, lambda provider: recognize(provider, pcm))[-1]
    assert final.requested
    assert final.audio_end_samples == len(pcm) // 2
    assert {"order", "coffee", "cups", "please"} <= set(words(final.text))
    assert -0.6 < final.log_prob <= 0


def test_partials_grow_and_the_final_settles_them(socket):
    pcm = speak(SENTENCE)
    pause = asyncio.Event()

    async def body(provider):
        seen = []
        async with provider.stream(Expect()) as stream, asyncio.TaskGroup() as tasks:

            async def listen():
                async for transcript in stream:
                    seen.append(transcript)
                    pause.set()
                    if transcript.requested:
                        return

            tasks.create_task(listen())
            for start in range(0, len(pcm), 4000):
                pause.clear()
                stream.push(pcm[start : start + 4000])
                if len(pcm) - start >= 4000:
                    await pause.wait()
            stream.request_transcript()
        return seen

    seen = run_with(socket, body, partial_ms=250)
    partials = [t for t in seen if not t.requested]
    assert len(partials) >= 8
    ends = [t.audio_end_samples for t in partials]
    assert ends == sorted(set(ends))
    assert ends[0] == 2000
    assert seen[-1].requested
    assert len(words(seen[-1].text)) >= len(words(partials[0].text))


@pytest.mark.parametrize(
    ("said", "choices", "expected"),
    [
        ("Yes.", ("yes", "no"), "yes"),
        ("No.", ("yes", "no"), "no"),
        ("Opening hours.", ("opening hours", "leave a message", "order drinks"), "opening hours"),
        ("Leave a message.", ("opening hours", "leave a message"), "leave a message"),
        (SENTENCE, ("yes", "no"), None),
    ],
)
def test_forced_choice(socket, said, choices, expected):
    expect = Expect(kind="choice", choices=choices)
    pcm = speak(said, "rms")
    final = run_with(socket, lambda provider: recognize(provider, pcm, expect))[-1]
    assert final.choice == expected


def test_several_turns_at_once_keep_their_own_text(socket):
    said = ["Good morning.", "Where is the station?", "I want to talk to a person."]

    async def body(provider):
        async with asyncio.TaskGroup() as tasks:
            turns = [tasks.create_task(recognize(provider, speak(text, "rms"))) for text in said]
        return [turn.result()[-1].text for turn in turns]

    texts = run_with(socket, body)
    assert "morning" in words(texts[0])
    assert "station" in words(texts[1])
    assert "person" in words(texts[2])


def test_long_turn_is_recognized_to_its_end(socket):
    pcm = speak(SENTENCE, "rms") * 5 + speak("Goodbye.", "rms")
    final = run_with(socket, lambda provider: recognize(provider, pcm))[-1]
    assert words(final.text).count("coffee") >= 4


def test_cancelled_turn_leaves_nothing(socket):
    pcm = speak(SENTENCE)

    async def body(provider):
        async with provider.stream(Expect()) as stream:
            stream.push(pcm)
            stream.request_transcript()
            waiting = asyncio.ensure_future(anext(aiter(stream)))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert (await provider._connection.client()).pending == 0
        stream.push(pcm)
        stream.request_transcript()
        assert (await provider._connection.client()).pending == 0
        assert [t async for t in stream] == []
        assert len(asyncio.all_tasks()) == 1
        return await recognize(provider, pcm)

    assert "coffee" in run_with(socket, body)[-1].text


def test_garbage_costs_only_the_connection_that_sent_it(socket):
    async def body(provider):
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        return await recognize(provider, speak(SENTENCE))

    assert "coffee" in run_with(socket, body)[-1].text


def test_answer_sent_to_the_recognizer_is_garbage(socket):
    async def body(_):
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(encode(Refused(id=1, reason="busy")))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()

    run_with(socket, body)


def test_flood_is_bounded_and_every_request_is_answered(socket):
    pcm = speak("Yes.")

    async def body(_):
        client = RecognizerClient(socket)
        replies = []
        streams = [await client.open_stream(1.0) for _ in range(60)]
        for stream in streams:
            stream.decode(pcm, replies.append, final=True)
        await settled(client)
        client.close()
        return [reply for reply in replies if not isinstance(reply, EndOfTurnScore)]

    replies = run_with(socket, body)
    assert len(replies) == 60
    assert sum(isinstance(reply, Decoded) for reply in replies) >= 32
    assert {r.reason for r in replies if isinstance(r, Refused)} == {"busy"}


def test_final_is_answered_before_partials_that_came_first(socket):
    pcm = speak(SENTENCE)

    async def body(_):
        client = RecognizerClient(socket)
        order = []
        streams = [await client.open_stream(1.0) for _ in range(4)]
        for number, stream in enumerate(streams):
            stream.decode(
                pcm, lambda _, n=number: order.append(n), final=number == len(streams) - 1
            )
        await settled(client)
        client.close()
        return order

    order = run_with(socket, body)
    assert order.index(3) <= 1  # 0: the partial that ran was given up for it
    assert sorted(order) == [0, 1, 2, 3]


def test_bytes_on_the_wire_are_the_protocol(socket):
    async def body(_):
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(encode(Decode(id=5, stream=1, final=True), bytes(1600)))
        frames = FrameReader()
        messages = []
        while not messages:
            messages = frames.receive(await reader.read(1000))
        writer.close()
        return messages

    [(message, _)] = run_with(socket, body)
    assert isinstance(message, Decoded)
    assert message.id == 5


# --- the process itself --------------------------------------------------------------------


def test_no_recognizer_is_a_clear_error(tmp_path):
    async def run():
        settings = moonshine.Settings(socket=str(tmp_path / "nobody"), connect_timeout_s=0.1)
        provider = moonshine.create(settings)
        with pytest.raises(ProviderUnavailable, match=r"no recognizer on .*nobody"):
            await provider.warm_up()
        await provider.close()

    asyncio.run(run())


def test_socket_comes_from_the_environment(socket, monkeypatch):
    monkeypatch.setenv("GATEWAY_RECOGNIZER_SOCKET", str(socket))

    async def run():
        provider = moonshine.create(moonshine.Settings())
        await provider.warm_up()
        assert (await provider._connection.client())._socket == socket
        await provider.close()

    asyncio.run(run())


def test_a_recognizer_that_hangs_is_replaced(monkeypatch):
    monkeypatch.setattr(recognizer_process, "_ASK_EVERY_S", 0.2)

    async def run():
        async with RecognizerProcess(hung_after_s=2.0) as process:
            await asyncio.sleep(1)  # asked several times, and well
            assert process.restarts == 0
            os.kill(process.pid, signal.SIGSTOP)
            await eventually(lambda: process.restarts, 60, "another recognizer")
            assert not process.problem
            provider = moonshine.create(moonshine.Settings(socket=str(process.socket)))
            seen = await recognize(provider, speak(SENTENCE))
            await provider.close()
            return seen

    assert "coffee" in asyncio.run(run())[-1].text


def test_killed_recognizer_costs_not_even_the_turn(monkeypatch):
    monkeypatch.delenv("GATEWAY_RECOGNIZER_SOCKET", raising=False)
    pcm = speak(SENTENCE)

    async def run():
        async with RecognizerProcess() as process:
            settings = moonshine.Settings(socket=str(process.socket), connect_timeout_s=20)
            provider = moonshine.create(settings)
            await provider.warm_up()
            async with provider.stream(Expect()) as stream:
                stream.push(pcm)
                os.kill(process.pid, signal.SIGKILL)
                stream.request_transcript()
                seen = await anext(t async for t in stream if t.requested)
            assert process.restarts == 1
            await provider.close()
        assert process.pid is None
        assert not process.socket.parent.exists()
        return seen

    assert "coffee" in asyncio.run(run()).text


def test_the_shared_recognizer_may_start_beside_its_workers(monkeypatch, tmp_path):
    """However short callers wait for one that is just starting again."""
    monkeypatch.setenv("GATEWAY_RECOGNIZER_SOCKET", str(tmp_path / "socket"))

    async def run():
        provider = moonshine.create(moonshine.Settings(connect_timeout_s=0.01))
        warming = asyncio.ensure_future(provider.warm_up())
        async with RecognizerProcess(tmp_path / "socket"):
            await warming
            seen = await recognize(provider, speak(SENTENCE))
            await provider.close()
            return seen

    assert "coffee" in asyncio.run(run())[-1].text


def test_recognizer_that_stays_away_is_an_error(monkeypatch):
    monkeypatch.delenv("GATEWAY_RECOGNIZER_SOCKET", raising=False)

    async def run():
        async with RecognizerProcess() as process:
            settings = moonshine.Settings(socket=str(process.socket), connect_timeout_s=0.1)
            provider = moonshine.create(settings)
            await provider.warm_up()
            async with provider.stream(Expect()) as stream:
                stream.push(speak(SENTENCE))
                os.kill(process.pid, signal.SIGKILL)
                stream.request_transcript()
                with pytest.raises(ProviderUnavailable):
                    await all_of(stream)
            await provider.close()

    asyncio.run(run())


def test_provider_without_socket_owns_a_process(monkeypatch):
    monkeypatch.delenv("GATEWAY_RECOGNIZER_SOCKET", raising=False)

    async def run():
        provider = moonshine.create(moonshine.Settings())
        seen = await recognize(provider, speak("Good morning.", "rms"))
        await provider.close()
        assert len(asyncio.all_tasks()) == 1
        return seen

    assert "morning" in asyncio.run(run())[-1].text.lower()


def test_process_that_cannot_listen_says_why(tmp_path):
    async def run():
        with pytest.raises(ProviderUnavailable, match=r"cannot listen on .*missing"):
            async with RecognizerProcess(tmp_path / "missing" / "socket"):
                pass

    asyncio.run(run())


def test_process_that_is_not_ready_in_time_is_an_error():
    async def run():
        with pytest.raises(ProviderUnavailable, match=r"not ready within 0\.01 s"):
            async with RecognizerProcess(ready_timeout_s=0.01):
                pass

    asyncio.run(run())


def test_recognizer_ends_with_its_parent(tmp_path):
    path = tmp_path / "socket"
    command = [sys.executable, "-m", "gateway.recognizer", "--exit-with-parent"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with running_program([*command, "--socket", str(path)], **pipes) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)  # Ctrl-C reaches it, too: the parent ends it
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.stdin.close()
        assert process.wait(10) == 0
    assert not path.exists()


def test_the_text_comes_first_and_what_its_sound_says_after(socket):
    pcm = speak("That is all, thank you.", "rms")

    async def body(provider):
        found = []
        async with provider.stream(Expect()) as stream:
            stream.push(pcm)
            stream.request_transcript()
            async with asyncio.timeout(20):
                async for transcript in stream:
                    found.append(transcript)
                    if transcript.end_of_turn is not None:
                        break
        return found

    try:
        model_file()
    except ProviderUnavailable as error:
        pytest.skip(error.problem)
    found = run_with(socket, body, partial_ms=60_000)
    assert {transcript.text for transcript in found} == {found[0].text}
    assert all(transcript.requested for transcript in found)
    assert 0 <= found[-1].end_of_turn <= 1


def test_a_band_that_is_half_empty_makes_no_difference():
    if hint := moonshine.probe():
        pytest.skip(hint)
    model = MoonshineModel(moonshine.model_folder())
    pcm = speak(SENTENCE, "rms")
    narrow = model.decode(pcm)
    wide = model.decode(convert_once(pcm, NARROWBAND, WIDEBAND), rate_hz=16_000)
    assert words(wide.text) == words(narrow.text)
    assert wide.log_prob == pytest.approx(narrow.log_prob, abs=0.05)


@pytest.mark.parametrize("draft", ["own", "shorter", "wrong", "endless"])
def test_a_draft_makes_it_quicker_not_worse(draft):
    if hint := moonshine.probe():
        pytest.skip(hint)
    model = MoonshineModel(moonshine.model_folder())
    pcm = speak(SENTENCE, "rms")
    plain = model.decode(pcm)
    tokens = {
        "own": plain.tokens,
        "shorter": model.decode(pcm[: len(pcm) // 2]).tokens,
        "wrong": model.decode(speak("Something else was said.", "rms")).tokens,
        "endless": plain.tokens * 20,
    }[draft]
    again = model.decode(pcm, draft=tokens)
    assert words(again.text) == words(plain.text)
    assert again.log_prob == pytest.approx(plain.log_prob, abs=0.1)
