"""A double of Moshi's servers, Python and Rust: kinds of one byte and Ogg-Opus by sphn, as theirs.

Sound is sent as a burst here, a model sends 80 ms every 80 ms; a reply ends with the silence that
such a model sends until it speaks again.
"""

from __future__ import annotations

import json
import struct
from typing import Any, ClassVar

import numpy as np
import sphn
from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from gateway.providers.kit.spurts import GAP_MS
from gateway.providers.s2s.moshi import Kind
from tests.support.engine_double import KEY, Abilities, EngineDouble, Peer

FORM = AudioFormat(24_000)
STEP = 1920
"""Samples of the model's clock: 80 ms."""
NOISE = 8
"""Amplitude of what the codec makes of silence: -72 dBFS."""


class MoshiPeer(Peer):
    double: MoshiDouble

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.input_format = FORM
        self.output_format = FORM
        self._decoder = sphn.OpusStreamReader(FORM.sample_rate_hz)
        self._encoder = sphn.OpusStreamWriter(FORM.sample_rate_hz)
        self._noise = np.random.default_rng(1)

    async def welcome(self) -> None:
        """Send the handshake; a serial server does it when all earlier clients have left."""
        while self.double.is_serial and self.double.leads_before(self):
            await self.double.a_change()
        if self.double.is_rust:
            await self.message(Kind.HANDSHAKE, struct.pack("<II", self.double.version, 1))
            await self.message(Kind.METADATA, json.dumps({"text_temperature": 0.7}).encode())
        else:
            await self.message(Kind.HANDSHAKE, b"")
        self.is_ready = True
        self.changes()

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, str) or frame[0] != Kind.AUDIO:
            self.refuse(f"not a message of a client: {frame[:40]!r}")
            return
        if not self.is_ready:
            self.refuse("audio before the handshake")
        sound = self._decoder.append_bytes(frame[1:])
        self.heard += (sound * 32767).astype("<i2").tobytes()

    async def message(self, kind: int, payload: bytes) -> None:
        await self.send(bytes([kind]) + payload)

    async def caller_starts(self, at_ms: int) -> None:
        raise AssertionError("there are no marks")

    async def caller_ends(self, at_ms: int) -> None:
        raise AssertionError("there are no marks")

    async def caller_says(self, text: str, *, is_final: bool) -> None:
        raise AssertionError("there are no texts of the caller")

    async def begin(self, reply_id: str) -> None:
        """Do nothing: there are no starts."""

    async def sound(self, reply_id: str, audio: bytes) -> None:
        """Send the sound, filled up to whole steps of the model with silence."""
        missing = -len(audio) % (2 * STEP)
        samples = np.frombuffer(audio + bytes(missing), "<i2").astype(np.float32) / 32768
        for at in range(0, len(samples), STEP):
            pages = self._encoder.append_pcm(samples[at : at + STEP].astype(np.float32))
            half = len(pages) // 2  # ends of messages need not be ends of pages
            for part in (pages[:half], pages[half:]):
                await self.message(Kind.AUDIO, part)

    async def words(self, reply_id: str, text: str) -> None:
        if self.double.is_rust:
            await self.message(Kind.COLOURED_TEXT, b"\x03" + text.encode())
        else:
            await self.message(Kind.TEXT, text.encode())

    async def finish(self, reply_id: str, end: str = "complete") -> None:
        count = FORM.sample_rate_hz * (GAP_MS + 200) // 1000
        noise = self._noise.integers(-NOISE, NOISE, count).astype("<i2")
        await self.sound(reply_id, noise.tobytes())

    async def error(self, problem: str) -> None:
        await self.message(Kind.ERROR, f"cannot go on: {problem}".encode())

    async def unknown(self) -> None:
        await self.message(200, b"of next year")

    async def garbage_audio(self, reply_id: str) -> None:
        await self.message(Kind.AUDIO, b"\xff\xfethis is no Ogg page" * 20)

    async def wrong_kind(self) -> None:
        await self.send("HTTP/1.1 502 Bad Gateway")


class MoshiDouble(EngineDouble):
    PEER: ClassVar[type[Peer]] = MoshiPeer
    ABILITIES: ClassVar[Abilities] = Abilities(
        passes=(),
        is_lossless=False,
        is_full_duplex=True,
        has_instructions=False,
        has_tools=False,
        has_history=False,
        has_greeting=False,
        has_marks=False,
        has_caller_text=False,
        hears_of_cuts=False,
        hears_of_positions=False,
        takes_text=False,
        takes_own_words=False,
        takes_instructions=False,
        takes_eagerness=False,
        has_usage=False,
        has_ends=False,
        errors={},
        has_minor_errors=False,
    )
    is_rust: ClassVar[bool] = False
    version = 0
    is_serial = False
    """It leads one conversation at a time, as the Python server does."""

    def knows(self, request: Request) -> bool:
        return request.headers.get("Authorization") in {None, f"Bearer {KEY}"}

    def leads_before(self, peer: Peer) -> bool:
        """Return whether an earlier client is still there."""
        earlier = self.peers[: self.peers.index(peer)]
        return any(each.connection in self._open for each in earlier)

    async def a_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class RustMoshiDouble(MoshiDouble):
    """Its handshake has versions, metadata follows, and words are coloured."""

    is_rust = True
