from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.event_stream import EndlessLineError, lines_of
from gateway.providers.kit.model_requests import address, encoded

BODY = 'data: {"x": "Grüße 👋\u2028"}\r\n\r\ndata: 2\n\ndata: 3\rdata: 4'


def read(chunks: list[bytes]) -> list[str]:
    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def lines() -> list[str]:
        return [line async for line in lines_of(body()) if line]

    return asyncio.run(lines())


@given(st.lists(st.integers(0, len(BODY.encode())), max_size=12))
def test_cuts_change_nothing(cuts: list[int]):
    raw = BODY.encode()
    places = [0, *sorted(cuts), len(raw)]
    assert read([raw[a:b] for a, b in pairwise(places)]) == [
        'data: {"x": "Grüße 👋\u2028"}', "data: 2", "data: 3", "data: 4"]  # fmt: skip


def test_bytes_that_are_no_text_and_an_endless_line():
    assert read([b"\xff\xfe\n"]) == ["\ufffd\ufffd"]
    with pytest.raises(EndlessLineError):
        read([b"x" * 1_000_000] * 5)


@pytest.mark.parametrize(
    ("base_url", "url", "named"),
    [
        ("http://h/v1/", "http://h/v1/models", "http://h/v1/"),
        ("https://me:pw@h/v1", "https://me:pw@h/v1/models", "https://h/v1"),
        ("https://h/d?api-version=1#x", "https://h/d/models?api-version=1", "https://h/d"),
        ("https://h", "https://h/models", "https://h"),
    ],
)
def test_addresses(base_url: str, url: str, named: str):
    join, where = address(base_url)
    assert join("/models") == url
    assert where == named


def test_a_path_brings_its_own_query():
    assert address("https://h/v1?key=a")[0]("/m?alt=sse") == "https://h/v1/m?key=a&alt=sse"


def test_a_request_is_utf_8():
    assert encoded({"a": "ü\ud83d👋\u2028"}) == '{"a":"ü?👋\u2028"}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        encoded({"temperature": float("nan")})
