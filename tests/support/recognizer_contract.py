"""What a call relies on in every recognizer; a provider's tests inherit it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import pytest

from gateway.audio.converter import convert_once
from gateway.audio.format import NARROWBAND, WIDEBAND
from gateway.providers.contracts import Expect, SpeechToText, SttSession, SttStream, Transcript
from tests.support.provider_contract import ProviderContract, Subject

ANYTHING = Expect()


@dataclass
class RecognizerSubject(Subject):
    """A recognizer, and something that it understands."""

    sound: bytes = b""
    """In its `input_format`."""
    words: tuple[str, ...] = ()
    """Lower case, in the order in which they are said there; not all of them."""


def words_of(text: str) -> list[str]:
    return "".join(c for c in text.lower() if c.isalnum() or c == " ").split()


async def requested(stream: SttStream) -> Transcript:
    """Ask, and return the answer."""
    stream.request_transcript()
    async with aclosing(cast("Any", aiter(stream))) as transcripts:
        async for transcript in transcripts:
            if transcript.requested:
                return cast("Transcript", transcript)
    raise AssertionError("the stream has ended")


async def hear(
    recognizer: SpeechToText | SttSession, sound: bytes, chunk_bytes: int = 320
) -> Transcript:
    """One turn."""
    async with recognizer.stream(ANYTHING) as stream:
        for at in range(0, len(sound), chunk_bytes):
            stream.push(sound[at : at + chunk_bytes])
        return await requested(stream)


class RecognizerContract(ProviderContract):
    """The tests."""

    def test_it_understands(self, provider: RecognizerSubject):
        async def use(stt: SpeechToText) -> None:
            found = await hear(stt, provider.sound)
            assert [w for w in words_of(found.text) if w in provider.words] == [*provider.words]
            assert found.audio_end_samples == len(provider.sound) // 2
            assert found.choice is None

        provider.using(use)

    def test_how_the_audio_comes_makes_no_difference(self, provider: RecognizerSubject):
        async def use(stt: SpeechToText) -> None:
            sizes = (320, 1234, len(provider.sound))
            texts = {(await hear(stt, provider.sound, size)).text for size in sizes}
            assert len(texts) == 1

        provider.using(use)

    @pytest.mark.parametrize("size", [0, 2, 320, 16_000])
    def test_silence_has_no_words(self, provider: RecognizerSubject, size: int):
        async def use(stt: SpeechToText) -> None:
            found = await hear(stt, bytes(size))
            assert (found.text, found.audio_end_samples) == ("", size // 2)

        provider.using(use)

    def test_a_turn_that_goes_on_keeps_its_words(self, provider: RecognizerSubject):
        async def use(stt: SpeechToText) -> None:
            async with stt.stream(ANYTHING) as stream:
                stream.push(provider.sound)
                first = await requested(stream)
                stream.caller_goes_on()
                stream.push(bytes(8000))
                second = await requested(stream)
            assert first.audio_end_samples == len(provider.sound) // 2
            assert second.audio_end_samples == len(provider.sound) // 2 + 4000
            for transcript in (first, second):
                assert set(provider.words) <= set(words_of(transcript.text))

        provider.using(use)

    def test_turns_at_the_same_time_keep_their_own_words(self, provider: RecognizerSubject):
        async def use(stt: SpeechToText) -> None:
            sounds = (provider.sound, bytes(16_000), provider.sound)
            found = await asyncio.gather(*[hear(stt, sound) for sound in sounds])
            assert set(provider.words) <= set(words_of(found[0].text))
            assert (found[1].text, found[2].text) == ("", found[0].text)

        provider.using(use)

    def test_a_cancelled_turn_leaves_nothing_behind(self, provider: RecognizerSubject):
        async def use(stt: SpeechToText) -> None:
            before = asyncio.all_tasks()

            async def turn() -> None:
                async with stt.stream(ANYTHING) as stream:
                    stream.push(provider.sound)
                    stream.request_transcript()
                    begun.set()
                    await asyncio.Event().wait()

            for _ in range(3):
                begun = asyncio.Event()
                task = asyncio.ensure_future(turn())
                await begun.wait()
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled()
            for _ in range(200):  # a double on the same loop may need some time to notice
                left = {task for task in asyncio.all_tasks() - before if "cython" not in repr(task)}
                if not left:
                    break
                await asyncio.sleep(0.01)
            assert not left
            found = await hear(stt, provider.sound)
            assert set(provider.words) <= set(words_of(found.text))

        provider.using(use)

    def test_what_is_pushed_after_the_turn_counts_for_nothing(self, provider: RecognizerSubject):
        async def use(stt: SpeechToText) -> None:
            async with stt.stream(ANYTHING) as stream:
                stream.push(provider.sound)
            stream.push(provider.sound)
            stream.request_transcript()
            rest = cast("AsyncIterator[Transcript]", aiter(stream))
            assert [transcript async for transcript in rest] == []

        provider.using(use)

    def test_a_wide_line_is_heard_in_its_band(self, provider: RecognizerSubject):
        async def use(stt: SpeechToText) -> None:
            for_line = getattr(stt, "for_line", None)
            if for_line is None:
                return  # it takes one format from every line
            assert for_line(NARROWBAND) is stt
            wide = for_line(WIDEBAND)
            if wide is stt:
                return  # it always takes the whole band
            assert wide.input_format.sample_rate_hz > stt.input_format.sample_rate_hz
            sound = convert_once(provider.sound, stt.input_format, wide.input_format)
            for each, audio in ((wide, sound), (stt, provider.sound)):
                found = await hear(each, audio)
                assert [w for w in words_of(found.text) if w in provider.words] == [*provider.words]
                assert found.audio_end_samples == len(audio) // 2

        provider.using(use)

    def test_a_session_hears_one_turn_after_the_other(self, provider: RecognizerSubject):
        async def use(stt: SpeechToText) -> None:
            opening = getattr(stt, "open_session", None)
            if opening is None:
                return  # each turn is for itself
            async with opening("call-1") as session, opening("call-2") as other:
                for each in (session, other, session):
                    found = await hear(each, provider.sound)
                    assert set(provider.words) <= set(words_of(found.text))

        provider.using(use)
