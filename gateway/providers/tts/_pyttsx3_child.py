"""The process that pyttsx3 lives in: one JSON text per line in, one framed sentence out.

A reply is `sample_rate_hz, length` (two unsigned 32-bit numbers, big-endian) and `length` bytes
of mono s16le; rate 0 means that the bytes are an error message.  The first reply says "ready".
Run as a script; imports nothing of the gateway.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any, BinaryIO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
FAILED = 0
"""Sample rate of a reply that is an error message."""


def main() -> None:
    """Serve requests until stdin ends."""
    _die_with_parent()
    replies = _claim_stdout()
    settings = json.loads(sys.argv[1])
    try:
        engine = _engine(settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must be told
        return _reply(replies, FAILED, str(error).encode())
    _reply(replies, 1, b"")
    with tempfile.TemporaryDirectory(prefix="gateway-speech-") as folder:
        for line in sys.stdin.buffer:
            _serve(engine, json.loads(line), Path(folder, "sentence.wav"), replies)
    return None


def _die_with_parent() -> None:
    """A driver that hangs never sees the end of stdin: let the kernel end it with the gateway."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _claim_stdout() -> BinaryIO:
    """Keep the pipe for replies: pyttsx3 prints on stdout, which goes nowhere from now on."""
    replies = os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    return replies


def _engine(settings: dict[str, Any]) -> Any:  # noqa: ANN401 - pyttsx3 has no types
    import pyttsx3  # noqa: PLC0415 - a missing library is an answer, not a crash

    engine = pyttsx3.init()
    problems: list[Exception] = []
    engine.connect("error", lambda name, exception: problems.append(exception))
    if settings["voice"]:
        engine.setProperty("voice", settings["voice"])
    engine.setProperty("rate", settings["words_per_minute"])
    engine.runAndWait()
    if problems:
        raise problems[0]
    return engine


def _settle() -> None:
    """Wait for espeak's own thread, whose late "end of sentence" would end the next sentence."""
    if sys.platform == "linux":
        from pyttsx3.drivers import _espeak  # noqa: PLC0415

        _espeak.dll.espeak_Synchronize()


def _serve(engine: Any, text: str, path: Path, replies: BinaryIO) -> None:  # noqa: ANN401
    """Render one text: pyttsx3 renders only the last of several that are queued."""
    try:
        path.unlink(missing_ok=True)
        engine.save_to_file(text, str(path))
        engine.runAndWait()
        _settle()
        with wave.open(str(path), "rb") as sentence:
            pcm = sentence.readframes(sentence.getnframes())
            _reply(replies, sentence.getframerate(), pcm)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must be told
        _reply(replies, FAILED, str(error).encode())


def _reply(replies: BinaryIO, sample_rate_hz: int, body: bytes) -> None:
    replies.write(struct.pack(">II", sample_rate_hz, len(body)) + body)
    replies.flush()


if __name__ == "__main__":
    main()
