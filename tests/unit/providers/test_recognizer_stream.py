"""How long a stream waits for a vendor that does not answer."""

from __future__ import annotations

import asyncio

import pytest

from gateway.audio.format import NARROWBAND
from gateway.providers.contracts import Expect, Transcript
from gateway.providers.kit.recognizer_stream import RecognizerStream, Words
from tests.support.virtual_time import run


@pytest.mark.parametrize(
    ("settled", "in_progress", "usual_s", "waits_s"),
    [
        ("", "", 0.15, 0.6),  # the first word may be late
        ("Two teas", "", 0.15, 0.25),
        ("Two teas", "", 1.0, 0.6),
        ("Two teas", "please", 0.15, 2.5),
        ("", "Two", 0.15, 2.5),
    ],
)
def test_a_flush_that_finds_nothing(settled, in_progress, usual_s, waits_s):
    async def main() -> None:
        stream: RecognizerStream[Transcript] = RecognizerStream(
            lambda _: None,
            lambda: None,
            NARROWBAND,
            Expect(),
            begins=0,
            owed=0,
            answers_in_s=lambda: usual_s,
            listens=False,
        )
        stream.push(bytes(1600))
        if settled:
            stream.take(Words(settled, is_settled=True))
        if in_progress:
            stream.take(Words(in_progress))
        stream.request_transcript()
        began_s = asyncio.get_running_loop().time()
        async for found in stream:
            if found.requested:
                break
        assert found.text == " ".join(filter(None, (settled, in_progress)))
        took_s = asyncio.get_running_loop().time() - began_s
        assert took_s == pytest.approx(waits_s, abs=0.01)

    run(main())
