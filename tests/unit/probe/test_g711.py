"""G.711 tables."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.probe import g711

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA"])
def test_a_decoded_value_encodes_to_itself(encoding):
    values = g711.decode(bytes(range(256)), encoding)
    again = g711.decode(g711.encode(values, encoding), encoding)
    assert np.array_equal(values, again)


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA"])
def test_error_stays_within_half_a_step(encoding):
    decoded = g711.decode(g711.encode(EVERY_SAMPLE, encoding), encoding).astype(int)
    error = np.abs(decoded - EVERY_SAMPLE)
    # A step is 1/16 of its segment: relative error below 1/32, near zero below 8 (16 for A-law).
    assert np.all(error <= np.maximum(np.abs(EVERY_SAMPLE.astype(int)) / 31, 16) + 8)


# ITU-T G.711 tables 1a and 2a: silence, smallest and largest values.
@pytest.mark.parametrize(
    ("encoding", "code", "value"),
    [
        ("PCMU", 0xFF, 0),
        ("PCMU", 0x00, -32124),
        ("PCMU", 0x80, 32124),
        ("PCMA", 0xD5, 8),
        ("PCMA", 0x55, -8),
        ("PCMA", 0xAA, 32256),
        ("PCMA", 0x2A, -32256),
    ],
)
def test_known_codes(encoding, code, value):
    assert g711.decode(bytes([code]), encoding)[0] == value
    assert g711.encode(np.array([value], np.int16), encoding) == bytes([code])
