"""A G.722 call with baresip: its band reaches the recognizer, and that of the voice the caller."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.audio.level import peak
from gateway.records.bundle_files import AUDIO_FILE, EVENTS_FILE
from gateway.replay.stereo import read_stereo
from tests.support.baresip import heard, needs_baresip, run_baresip, write_config
from tests.support.live_gateway import live_gateway
from tests.support.plain_phone import PlainPhone, plain_phone
from tests.support.plug_in import plug_in

CALL_S = 12
HIGH_HZ = 4600
_PAYLOADS = {"G722": 9, "PCMU": 0, "telephone-event": 101}
_NOISE = bytes(range(160))
_LIMIT_STEPS = 1000
"""Of 20 ms."""
_SILENT_STEPS = 50
BAND = '''
"""Understands how wide the band of a caller turn is."""

import asyncio
from contextlib import asynccontextmanager

import numpy as np

from gateway.audio.format import NARROWBAND
from gateway.providers.contracts import ProviderSettings, Transcript

SUMMARY = "Bands of a test."


class Settings(ProviderSettings):
    pass


class Stream:
    def __init__(self, rate_hz):
        self._rate_hz = rate_hz
        self._pcm = b""
        self._asked = asyncio.Queue()

    def push(self, pcm):
        self._pcm += pcm

    def request_transcript(self, among=()):
        self._asked.put_nowait(len(self._pcm) // 2)

    def caller_goes_on(self):
        pass

    async def __aiter__(self):
        while True:
            samples = await self._asked.get()
            power = np.abs(np.fft.rfft(np.frombuffer(self._pcm, "<i2").astype(float))) ** 2
            high = power[int(len(power) * 4600 * 2 / self._rate_hz) :].sum() / power.sum()
            yield Transcript("a wide band" if high > 1e-4 else "a narrow band", samples, True)


class Bands:
    def __init__(self, input_format=NARROWBAND):
        self.input_format = input_format

    def for_line(self, line_format):
        return self if line_format.encoding != "s16" else Bands(line_format)

    async def warm_up(self):
        pass

    @asynccontextmanager
    async def stream(self, expect):
        yield Stream(self.input_format.sample_rate_hz)

    async def close(self):
        pass


def create(settings):
    return Bands()


def probe():
    return ""
'''


def high_share(samples: npt.NDArray[np.float64], rate_hz: int) -> float:
    """Return the share of energy above the telephone band."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(power[int(len(power) * HIGH_HZ / (rate_hz / 2)) :].sum() / power.sum())


@needs_baresip
@pytest.mark.parametrize(
    ("line_format", "codec", "understood"),
    [(WIDEBAND, "G722", "a wide band"), (NARROWBAND, "PCMU", "a narrow band")],
)
def test_the_band_of_the_codec_is_that_of_the_call(
    tmp_path: Path, line_format: AudioFormat, codec: str, understood: str
) -> None:
    folder = tmp_path / "baresip"
    says = "She sells six special sausages this Saturday."
    more = () if line_format == WIDEBAND else ("sndfile",)
    write_config(folder, says, 5.0, modules=more, line_format=line_format)
    environ = plug_in(tmp_path / "plug-in", "stt", "bands", BAND)
    engines = {"stt": {"provider": "bands"}, "tts": {"provider": "flite"}}
    agent = {"greeting": "This is Susan's.", **engines}
    with live_gateway(tmp_path, {"agents": {"desk": agent}}, environ) as gateway:
        told = run_baresip(folder, gateway.uri(), CALL_S)
        record = gateway.gateway.wait_for_call(10)
        recorded = read_stereo(gateway.gateway.bundle(record) / AUDIO_FILE)
    assert "Call established" in told
    assert (record["codec"], record["end_reason"]) == (codec, "caller_hung_up")
    assert record["turns"][0]["bot_text_heard"] == "This is Susan's."
    assert [t["caller_text"] for t in record["turns"][1:]] == [understood]
    rtp = record["rtp"]
    frames = recorded.samples // NARROWBAND.frame_samples
    assert min(rtp["received_packets"], rtp["sent_packets"]) > 0.9 * frames
    assert rtp["received_lost"] == rtp["sent_lost"] == 0
    assert min(peak(recorded.received), peak(recorded.sent)) > 1000
    if line_format == WIDEBAND:
        assert high_share(heard(folder), line_format.sample_rate_hz) > 1e-4


def described(phone: PlainPhone, version: int, codecs: Sequence[str], direction: str) -> str:
    """Return an offer of these codecs, in order."""
    types = " ".join(str(_PAYLOADS[codec]) for codec in [*codecs, "telephone-event"])
    maps = "".join(f"a=rtpmap:{_PAYLOADS[codec]} {codec}/8000\r\n" for codec in codecs)
    maps += f"a=rtpmap:{_PAYLOADS['telephone-event']} telephone-event/8000\r\n"
    return (
        f"v=0\r\no=- 7 {version} IN IP4 {phone.host}\r\ns=-\r\nc=IN IP4 {phone.host}\r\nt=0 0\r\n"
        f"m=audio {phone.rtp.getsockname()[1]} RTP/AVP {types}\r\n{maps}a={direction}\r\n"
    )


def step(
    phone: PlainPhone, payload_type: int, payload: bytes = _NOISE, began: int | None = None
) -> list[bytes]:
    """Send one packet of something and wait its time; return those that came.

    Args:
        phone: in a call.
        payload_type: of the packet.
        payload: of it.
        began: number of the packet with which an event began.
    """
    at = phone.packets if began is None else began
    head = struct.pack("!BBHII", 0x80, payload_type, phone.packets & 0xFFFF, at * 160, 77)
    phone.packets += 1
    phone.rtp.sendto(head + payload, phone.media)
    came: list[bytes] = []
    end = time.monotonic() + 0.02
    while (left := end - time.monotonic()) > 0:
        phone.rtp.settimeout(left)
        with suppress(TimeoutError):
            came.append(phone.rtp.recv(2048))
    return came


def types_of(packets: Sequence[bytes]) -> list[int]:
    return [packet[1] & 0x7F for packet in packets]


def answered(phone: PlainPhone, payload_type: int, packets: int) -> list[int]:
    """Send until as many packets of that type came; return all payload types, in order."""
    came: list[int] = []
    for _ in range(_LIMIT_STEPS):
        if came.count(payload_type) >= packets:
            return came
        came += types_of(step(phone, payload_type))
    raise AssertionError(f"{payload_type} did not come: {came}")


def falls_silent(phone: PlainPhone, payload_type: int) -> bool:
    """Send until nothing has come for a while: what was under way before may."""
    silent = 0
    for _ in range(_LIMIT_STEPS):
        silent = 0 if step(phone, payload_type) else silent + 1
        if silent == _SILENT_STEPS:
            return True
    return False


def test_a_codec_may_change_within_a_call_and_the_call_be_held(tmp_path: Path) -> None:
    environ = plug_in(tmp_path / "plug-in", "stt", "bands", BAND)
    engines = {"stt": {"provider": "bands"}, "tts": {"provider": "flite"}}
    agent = {"greeting": "This is Susan's.", **engines}
    steps = [
        (("G722", "PCMU"), "sendrecv"),  # theirs is the order that counts
        (("PCMU", "G722"), "sendrecv"),
        (("G722",), "sendrecv"),
        (("G722",), "sendonly"),
        (("G722",), "inactive"),
        (("G722",), "sendrecv"),
    ]
    with live_gateway(tmp_path, {"agents": {"desk": agent}}, environ) as gateway:
        with plain_phone(gateway.sip_port) as phone:
            for version, (codecs, direction) in enumerate(steps, 1):
                body = described(phone, version, codecs, direction)
                answer = phone.call(body) if version == 1 else phone.ask("INVITE", body)
                assert answer.status == 200, answer.text
                phone.take(answer)
                phone.ack()
                wanted = _PAYLOADS[codecs[0]]
                if direction == "sendrecv":
                    came = answered(phone, wanted, 25)
                    assert set(came[came.index(wanted) :]) == {wanted}
                else:
                    assert falls_silent(phone, wanted)
        record = gateway.gateway.wait_for_call(15)
        assert not gateway.logged("worker_lost")
        recorded = read_stereo(gateway.gateway.bundle(record) / AUDIO_FILE)
    assert (record["codec"], record["end_reason"]) == ("G722", "caller_hung_up")
    assert recorded.samples / NARROWBAND.sample_rate_hz == pytest.approx(record["audio_s"])


def press(phone: PlainPhone, key: int) -> None:
    """Send a key as RFC 4733 has it: its packets have the time of the first; the last end it."""
    began = phone.packets
    for number in range(1, 7):
        end = 0x80 if number > 3 else 0
        step(phone, 101, struct.pack("!BBH", key, end | 10, min(number, 4) * 160), began)


def test_keys_go_both_ways_in_a_wide_call(tmp_path: Path) -> None:
    environ = plug_in(tmp_path / "plug-in", "stt", "bands", BAND)
    agent = {"stt": {"provider": "bands"}, "tts": {"provider": "flite"}}
    with live_gateway(tmp_path, {"agents": {"desk": agent}}, environ) as gateway:
        with plain_phone(gateway.sip_port) as phone, ThreadPoolExecutor(1) as beside:
            assert phone.call(described(phone, 1, ("G722",), "sendrecv")).status == 200
            phone.ack()
            (call,) = gateway.ask("GET", "/v1/calls?active=true").json()["calls"]
            path = f"/v1/calls/{call['call_id']}/dtmf"
            answered(phone, 9, 10)
            press(phone, 5)
            sent = beside.submit(gateway.ask, "POST", path, {"digits": "12"})
            came: list[bytes] = []
            while not sent.done():
                came += step(phone, 9)
            assert sent.result().status_code == 204
            came += step(phone, 9)
        record = gateway.gateway.wait_for_call(15)
        events = (gateway.gateway.bundle(record) / EVENTS_FILE).read_text()
    assert record["codec"] == "G722"
    keys = [packet[12] for packet in came if types_of([packet]) == [101]]
    assert sorted(set(keys)) == [1, 2] == list(dict.fromkeys(keys))
    assert set(types_of(came)) == {9, 101}
    told = [json.loads(line) for line in events.splitlines()]
    digits = [event for event in told if event["kind"] == "digit"]
    assert [(event["digit"], event["method"]) for event in digits] == [("5", "rfc4733")]


def test_the_gateway_ends_while_wide_calls_are_up(tmp_path: Path) -> None:
    environ = plug_in(tmp_path / "plug-in", "stt", "bands", BAND)
    engines = {"stt": {"provider": "bands"}, "tts": {"provider": "flite"}}
    with ExitStack() as phones:
        with live_gateway(tmp_path, {"agents": {"desk": engines}}, environ) as gateway:
            for _ in range(3):
                phone = phones.enter_context(plain_phone(gateway.sip_port))
                assert phone.call(described(phone, 1, ("G722",), "sendrecv")).status == 200
                phone.ack()
                answered(phone, 9, 1)
        assert not gateway.logged("worker_lost")  # its exit code is that of an orderly end
    assert {call["codec"] for call in gateway.gateway.calls()} == {"G722"}
