"""Recognizers of vendors against their doubles: how tests use them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from gateway.providers.contracts import TurnMark
from gateway.providers.kit.recognizer import SocketRecognizer
from tests.support.recognizer_double import RecognizerDouble, spoken

WORDS = ("three", "one", "six")
SOUND = spoken(WORDS)
SILENCE = bytes(2 * 8000)
"""One second: it ends a turn."""


def using(
    module: ModuleType,
    double: RecognizerDouble,
    use: Callable[[SocketRecognizer], Awaitable[None]],
    **settings: Any,
) -> None:
    """Run `use` with a recognizer that leads to the double; what breaks the protocol fails."""

    async def main() -> None:
        async with asyncio.timeout(60), double.running():
            table = {**double.settings(), **settings}
            await use(module.create(module.Settings.model_validate(table)))

    asyncio.run(main())
    assert double.problems == []


async def listened(recognizer: SocketRecognizer, sound: bytes, ends: int) -> list[Any]:
    """Return what a listening stream finds until as many turns have ended."""
    found: list[Any] = []
    async with recognizer.listening().open_session("c") as session, session.listen() as stream:
        step = recognizer.input_format.frame_bytes
        for at in range(0, len(sound), step):
            stream.push(sound[at : at + step])
        async for each in stream:
            found.append(each)
            if sum(isinstance(e, TurnMark) and e.kind == "end" for e in found) == ends:
                break
    return found


def marks(found: list[Any]) -> list[tuple[str, str]]:
    """Return kind and text of each mark."""
    return [(each.kind, each.text) for each in found if isinstance(each, TurnMark)]
