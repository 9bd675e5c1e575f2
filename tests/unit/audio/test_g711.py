"""G.711 against corner values and, where it still exists, the standard library."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from gateway.audio import g711

EVERY_SAMPLE = np.arange(-32768, 32768).astype("<i2").tobytes()
EVERY_CODE = bytes(range(256))


@pytest.mark.parametrize(
    ("sample", "ulaw", "alaw"),
    [
        (0, 0xFF, 0xD5),
        (-1, 0x7E, 0x55),
        (32767, 0x80, 0xAA),
        (-32768, 0x00, 0x2A),
    ],
)
def test_corner_codes(sample, ulaw, alaw):
    pcm = np.array([sample], dtype="<i2").tobytes()
    assert g711.encode_ulaw(pcm) == bytes([ulaw])
    assert g711.encode_alaw(pcm) == bytes([alaw])


def test_silence_decodes_to_the_smallest_values():
    assert g711.decode_ulaw(b"\xff\x7f") == bytes(4)
    assert np.frombuffer(g711.decode_alaw(b"\xd5\x55"), dtype="<i2").tolist() == [8, -8]


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_every_code_survives_decode_and_encode(law):
    decode, encode = getattr(g711, f"decode_{law}"), getattr(g711, f"encode_{law}")
    codes = EVERY_CODE.replace(b"\x7f", b"\xff") if law == "ulaw" else EVERY_CODE
    assert encode(decode(codes)) == codes


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_error_stays_within_half_a_step(law):
    decode, encode = getattr(g711, f"decode_{law}"), getattr(g711, f"encode_{law}")
    samples = np.frombuffer(EVERY_SAMPLE, dtype="<i2").astype(int)
    error = np.abs(np.frombuffer(decode(encode(EVERY_SAMPLE)), dtype="<i2") - samples)
    assert (error <= np.maximum(16, (np.abs(samples) + 132) / 16 * 0.66)).all()


def test_agrees_with_the_standard_library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop")
    assert g711.encode_ulaw(EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE, 2)
    assert g711.encode_alaw(EVERY_SAMPLE) == audioop.lin2alaw(EVERY_SAMPLE, 2)
    assert g711.decode_ulaw(EVERY_CODE) == audioop.ulaw2lin(EVERY_CODE, 2)
    assert g711.decode_alaw(EVERY_CODE) == audioop.alaw2lin(EVERY_CODE, 2)
