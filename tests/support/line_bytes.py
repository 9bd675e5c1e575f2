"""A raw telephone whose RTP payload is compared byte by byte with what an engine gets and sends."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tests.support.plain_phone import PlainPhone

FRAME_BYTES = 160
QUIET = {"PCMU": b"\xff", "PCMA": b"\xd5"}
TYPES = {"PCMU": 0, "PCMA": 8}
MINUS_ZERO = 0x7F
"""A code of mu-law that is the same value as another one, 0xFF: what decodes loses it."""


def all_codes(codec: str, frames: int, seed: int) -> bytes:
    """Return different frames of all codes that have a value of their own."""
    codes = np.array([code for code in range(256) if (codec, code) != ("PCMU", MINUS_ZERO)])
    random = np.random.default_rng(seed)
    return bytes(random.choice(codes, frames * FRAME_BYTES).astype(np.uint8))


def framed(audio: bytes) -> list[bytes]:
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]


def arrived(frames: Sequence[bytes], whole: bytes) -> int:
    """Count the frames that are somewhere in what came."""
    return sum(frame in whole for frame in frames)


class RawLine:
    """A call over plain sockets that sends exactly these payloads."""

    def __init__(self, phone: PlainPhone, codec: str, user: str) -> None:
        self._phone = phone
        self._codec = codec
        self._packets = 0
        self._due_s = 0.0
        self.heard = b""
        """Every payload that came, in order."""
        phone.target = f"sip:{user}@{phone.gateway[0]}:{phone.gateway[1]}"

    def place(self) -> None:
        offer = self._phone.sdp()
        if self._codec == "PCMA":
            offer = offer.replace(" 0 101", " 8 101").replace("rtpmap:0 PCMU", "rtpmap:8 PCMA")
        said = self._phone.call(offer)
        assert said.status == 200, said.text
        self._phone.ack()
        self._due_s = time.monotonic()

    def send(self, frames: Iterable[bytes]) -> None:
        """Send them in step."""
        for frame in frames:
            head = struct.pack(
                "!BBHII", 0x80, TYPES[self._codec], self._packets & 0xFFFF,
                self._packets * FRAME_BYTES, 78,
            )  # fmt: skip
            self._packets += 1
            self._phone.rtp.sendto(head + frame, self._phone.media)
            self._due_s += 0.02
            self._listen()

    def wait(self, is_so: Callable[[], object], limit_s: float, what: str) -> None:
        """Send silence until something is so."""
        end_s = time.monotonic() + limit_s
        while not is_so():
            assert time.monotonic() < end_s, f"waited {limit_s:g} s in vain for {what}"
            self.send([QUIET[self._codec] * FRAME_BYTES])

    def _listen(self) -> None:
        while (left_s := self._due_s - time.monotonic()) > 0:
            self._phone.rtp.settimeout(left_s)
            try:
                data = self._phone.rtp.recv(2048)
            except TimeoutError:
                return
            if data[1] & 0x7F == TYPES[self._codec]:
                self.heard += data[12:]
