"""One converter: untouched where formats agree, in time and band where they do not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio import format as formats
from gateway.audio import g711
from gateway.audio.converter import Converter, convert_once
from gateway.audio.format import NARROWBAND, AudioFormat

PCMU = AudioFormat(8000, encoding="pcmu")
PCMA = AudioFormat(8000, encoding="pcma")
WIDEBAND = AudioFormat(16_000)
EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = np.arange(-32768, 32768).astype("<i2").tobytes()
FORMATS = [NARROWBAND, PCMU, PCMA, WIDEBAND, AudioFormat(24_000), AudioFormat(48_000)]


def test_a_frame_has_as_many_bytes_as_its_encoding_needs():
    assert (PCMU.frame_samples, PCMU.frame_bytes) == (160, 160)
    assert (WIDEBAND.frame_samples, WIDEBAND.frame_bytes) == (320, 640)
    assert PCMU.seconds(bytes(8000)) == NARROWBAND.seconds(bytes(16000)) == 1


@pytest.mark.parametrize("audio_format", [PCMU, PCMA])
def test_g711_passes_untouched_between_equal_ends(audio_format):
    assert Converter(audio_format, audio_format).process(EVERY_CODE) is EVERY_CODE
    assert convert_once(EVERY_CODE, audio_format, audio_format) is EVERY_CODE


def test_packet_time_is_no_reason_to_convert():
    assert Converter(PCMU, AudioFormat(8000, 10, "pcmu")).process(EVERY_CODE) is EVERY_CODE


def test_g711_is_the_table_of_g711_bit_for_bit():
    assert Converter(PCMU, NARROWBAND).process(EVERY_CODE) == g711.decode_ulaw(EVERY_CODE)
    assert Converter(PCMA, NARROWBAND).process(EVERY_CODE) == g711.decode_alaw(EVERY_CODE)
    assert Converter(NARROWBAND, PCMU).process(EVERY_SAMPLE) == g711.encode_ulaw(EVERY_SAMPLE)
    assert Converter(NARROWBAND, PCMA).process(EVERY_SAMPLE) == g711.encode_alaw(EVERY_SAMPLE)


def test_only_negative_zero_is_lost_on_the_way_through_linear():
    back = convert_once(convert_once(EVERY_CODE, PCMU, NARROWBAND), NARROWBAND, PCMU)
    assert [c for c, b in zip(EVERY_CODE, back, strict=True) if b != c] == [0x7F]


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    source=st.sampled_from(FORMATS),
    target=st.sampled_from(FORMATS),
    audio=st.binary(max_size=1400),
)
def test_any_chunking_gives_the_same_bytes(data, source, target, audio):
    audio = audio[: len(audio) - len(audio) % source.sample_bytes]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(audio)), max_size=8)))
    whole, pieces = Converter(source, target), Converter(source, target)
    expected = whole.process(audio) + whole.flush()
    edges = [0, *cuts, len(audio)]
    got = b"".join(pieces.process(audio[a:b]) for a, b in itertools.pairwise(edges))
    assert got + pieces.flush() == expected


def test_a_wide_band_is_kept_between_wide_ends_and_cut_for_narrow_ones():
    at_s = np.arange(16_000) / 16_000
    high = (8000 * np.sin(2 * np.pi * 6000 * at_s)).astype("<i2").tobytes()
    assert Converter(WIDEBAND, WIDEBAND).process(high) == high
    narrow = np.frombuffer(Converter(WIDEBAND, NARROWBAND).process(high), "<i2")
    assert np.abs(narrow.astype(int))[100:].max() <= 8  # 60 dB below


def test_delay_is_that_of_the_resampler():
    assert Converter(PCMU, NARROWBAND).delay_s == 0
    assert 0 < Converter(PCMU, WIDEBAND).delay_s < 0.003


def test_the_former_name_of_the_telephone_band_is_still_imported():
    with pytest.warns(DeprecationWarning, match="NARROWBAND"):
        assert formats.LINE is NARROWBAND
    with pytest.raises(AttributeError):
        _ = formats.NOTHING
