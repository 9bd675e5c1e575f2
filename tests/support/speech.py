"""A voice for tests: libflite by ctypes, independent of the product's own provider."""

from __future__ import annotations

import ctypes
from functools import cache

import pytest

from gateway.audio.resample import resample_once


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


@cache
def speak(text: str, voice: str = "awb") -> bytes:
    """Render a sentence as mono s16le at 8000 Hz; voices awb, rms, slt, kal16."""
    library, handle = _library(), _voice(voice)
    wave = library.flite_text_to_wave(text.encode(), handle)
    try:
        content = wave.contents
        pcm = ctypes.string_at(content.samples, content.num_samples * 2)
        return resample_once(pcm, content.sample_rate, 8000)
    finally:
        library.delete_wave(wave)


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL("libflite_usenglish.so.1", mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL("libflite_cmulex.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError as exc:
        pytest.skip(f"libflite1 is not installed: {exc}")
    library.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
    library.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    library.delete_wave.argtypes = [ctypes.POINTER(_Wave)]
    library.flite_init()
    return library


@cache
def _voice(name: str) -> int:
    library = ctypes.CDLL(f"libflite_cmu_us_{name}.so.1")
    register = getattr(library, f"register_cmu_us_{name}")
    register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    return register(None)
