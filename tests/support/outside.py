"""A telephone outside the gateway, for tests: the probe's call with its ear and its voice."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.probe import voices
from gateway.probe.caller import Call, CallPolicy, wait_for_invite
from gateway.probe.listener import BotListener
from gateway.probe.media import RtpPeer
from gateway.probe.rtp import Impairments
from gateway.probe.sip_messages import Credentials
from gateway.probe.timeline import Audio
from gateway.probe.transactions import SipSocket, open_sip_socket

_LOUD_PEAK = 2000


@dataclass(slots=True)
class Telephone:
    """One call as the outside party has it."""

    call: Call
    media: RtpPeer
    sip: SipSocket
    listener: BotListener
    digits: str = ""
    """RFC 4733 digits that the gateway sent."""

    @property
    def sip_call_id(self) -> str:
        return self.call._dialog.call_id

    async def until(self, is_so: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """Wait tick by tick."""
        end = time.monotonic() + timeout_s
        while not (found := is_so()):
            assert time.monotonic() < end, f"waited {timeout_s:g} s in vain for {what}"
            await self.media.next_tick()
            self.listener.advance(time.monotonic_ns())
        return found

    async def bot_speaks(self, timeout_s: float = 5, since_ns: int = 0) -> None:
        await self.until(
            lambda: self.listener.has_spoken_since(since_ns), timeout_s, "the bot to speak"
        )

    async def bot_is_done(self, timeout_s: float = 15, since_ns: int = 0) -> None:
        """Wait until the bot has spoken (since then) and has been quiet for a while."""
        await self.bot_speaks(timeout_s, since_ns)
        await self.until(
            lambda: self.listener.is_quiet_for(time.monotonic_ns(), 600), timeout_s, "a pause"
        )

    async def ended(self, timeout_s: float = 10) -> None:
        async with asyncio.timeout(timeout_s):
            await self.call.ended.wait()

    async def say(self, text: str) -> int:
        """Speak; returns the instant (monotonic, ns) of the last sample."""
        _, last = self.media.play(await voices.render(text))
        await self.until(lambda: len(self.media.sent) > last, 30, "speech to be sent")
        return time.monotonic_ns()


class LoudEar:
    """How much loud sound comes to a telephone from now on."""

    def __init__(self, phone: Telephone) -> None:
        self._phone = phone
        self._loud_ns: list[int] = []
        before = phone.media.on_audio

        def hear(audio: Audio) -> None:
            before(audio)
            if int(np.abs(audio.samples.astype(np.int32)).max(initial=0)) > _LOUD_PEAK:
                self._loud_ns.append(audio.at_ns)

        phone.media.on_audio = hear

    def loud_ms(self, since_ns: int, until_ns: int | None = None) -> int:
        """Return the length of the loud packets that came between two instants."""
        end = len(self._loud_ns) if until_ns is None else bisect_left(self._loud_ns, until_ns)
        return self._phone.media.ptime_ms * (end - bisect_left(self._loud_ns, since_ns))

    async def hears(self, length_ms: int, since_ns: int, *, pause_ms: int = 300) -> None:
        """Wait for this much loud sound, and for some quiet behind it."""
        await self._phone.until(
            lambda: self.loud_ms(since_ns) >= length_ms - 40, 15, f"{length_ms} ms of sound"
        )
        until_s = time.monotonic() + pause_ms / 1000
        await self._phone.until(lambda: time.monotonic() > until_s, 10, "a pause")


@asynccontextmanager
async def telephone(
    *,
    user: str = "200",
    host: str = "127.0.0.1",
    port: int = 0,
    credentials: Credentials | None = None,
    policy: CallPolicy | None = None,
    codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    impairments: Impairments | None = None,
    ptime_ms: int = 20,
) -> AsyncIterator[Telephone]:
    """A telephone that is on the hook; on leaving it hangs up."""
    media = RtpPeer(host, impairments=impairments, ptime_ms=ptime_ms)
    try:
        async with open_sip_socket(host, port) as sip:
            call = Call(
                sip, media, user=user, credentials=credentials, policy=policy, codecs=codecs
            )
            phone = Telephone(call, media, sip, BotListener(lambda _: None, lambda _: None))
            media.on_audio = phone.listener.push

            def take(digit: str) -> None:
                phone.digits += digit

            media.on_digit = take
            try:
                yield phone
            finally:
                await call.hang_up()
    finally:
        media.close()


@asynccontextmanager
async def calling(target: str, **options: Any) -> AsyncIterator[Telephone]:
    """Call `target`; it has answered when the block begins."""
    async with telephone(**options) as phone:
        await phone.call.place(target)
        yield phone


async def answered_by(
    phone: Telephone, action: Awaitable[Any], timeout_s: float = 10
) -> tuple[Any, str]:
    """Wait for a call while `action` places it, and answer it.

    Returns:
        The action's result and the Call-ID.
    """
    async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
        waiting = group.create_task(wait_for_invite(phone.sip))
        acting = group.create_task(_as_coroutine(action))
    invite, source = waiting.result()
    phone.sip.on_request = phone.call._on_request
    await phone.call.accept(invite, source)
    return acting.result(), invite.get("Call-ID")


async def _as_coroutine(action: Awaitable[Any]) -> Any:
    return await action


async def normal_call(uri: str) -> str:
    """A call that hears the greeting and hangs up; gives its Call-ID."""
    async with calling(uri) as phone:
        await phone.bot_speaks(5)
    return phone.sip_call_id
