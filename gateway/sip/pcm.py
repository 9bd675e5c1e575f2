"""`ByteVector` <-> bytes, fast: about 1 us to read and 12 us to write a frame.

pjsua2 2.15.1 has no buffer copy; `bytes(vector)` takes 200-285 us, a tenth of which would already
be heard with four calls.  So the C++ vector's own pointers are read by address; `self_test`
proves at start that this build lays vectors out as expected, or the documented slow way is used.
"""

from __future__ import annotations

import ctypes

from gateway.sip import pj

_Pointers = ctypes.c_void_p * 2  # begin and end of a std::vector<unsigned char>


def read_by_address(vector: pj.ByteVector) -> bytes:
    """Copy a vector's bytes out; empty for an empty vector."""
    begin, end = _Pointers.from_address(int(vector.this))
    return ctypes.string_at(begin, end - begin) if begin and end else b""


def read_by_item(vector: pj.ByteVector) -> bytes:
    """The same through SWIG's sequence protocol: slow, always right."""
    return bytes(vector)


def self_test() -> bool:
    """True when reading by address gives what was written."""
    samples = bytes(range(256)) + b"\x01\x02" * 32
    return read_by_address(pj.ByteVector(samples)) == samples


read_pcm = read_by_address if self_test() else read_by_item
