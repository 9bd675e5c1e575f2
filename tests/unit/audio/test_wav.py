"""WAV files in and out."""

from __future__ import annotations

import wave

import pytest

from gateway.audio.wav import read_wav
from gateway.errors import UnsupportedFormat
from tests.support.wav import write_wav


def make(path, content, *, channels=1, width=2, rate=8000):
    with wave.open(str(path), "wb") as recording:
        recording.setnchannels(channels)
        recording.setsampwidth(width)
        recording.setframerate(rate)
        recording.writeframes(content)


def test_what_is_written_is_read(tmp_path):
    write_wav(tmp_path / "a.wav", b"\1\2\3\4", 22050)
    assert read_wav(tmp_path / "a.wav") == (b"\1\2\3\4", 22050)


def test_eight_bits_are_widened(tmp_path):
    make(tmp_path / "a.wav", bytes([0, 128, 255]), width=1)
    assert read_wav(tmp_path / "a.wav")[0] == b"\x00\x80\x00\x00\x00\x7f"


@pytest.mark.parametrize(
    ("form", "problem"),
    [({"channels": 2}, "2 channels"), ({"width": 4}, "32 bits")],
)
def test_other_forms_are_refused_by_name(tmp_path, form, problem):
    make(tmp_path / "a.wav", bytes(24), **form)
    with pytest.raises(UnsupportedFormat, match=f"a.wav.*{problem}"):
        read_wav(tmp_path / "a.wav")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a recording at all" * 9])
def test_garbage_is_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UnsupportedFormat, match="not a PCM WAV"):
        read_wav(tmp_path / "a.wav")
