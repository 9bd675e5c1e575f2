"""What pjsua2 leaves out about a stream: sending can wait, keys are all told.  Loop thread only."""

from __future__ import annotations

import ctypes

from gateway.sip import pj

_DYNAMIC = range(96, 128)
"""RTP payload types without a fixed meaning (RFC 3551)."""


def pause_sending(stream: int) -> None:
    """Send nothing; what comes is taken.

    Args:
        stream: address of the library's `pjmedia_stream`, as `onStreamCreated` tells it.
    """
    _call("pjmedia_stream_pause", stream)


def resume_sending(stream: int) -> None:
    """Send again."""
    _call("pjmedia_stream_resume", stream)


class EventMemory:
    """The library's note of the latest telephone-event, which hides packets from us.

    Packets that only end an event of the same digit, not longer than the one before, are not
    reported: the same key pressed again, whose first packets were lost.  Without the note all are
    reported, and `TelephoneEvents` tells them apart by their timestamps.  The place of the note
    belongs to one build; where it does not look as it must, it is left alone.
    """

    _OFFSET = 4732  # struct pjmedia_stream: rx_event_pt, last_dtmf, last_dtmf_dur, last_dtmf_ended

    def __init__(self, stream: int) -> None:
        """Find it.

        Args:
            stream: address of a `pjmedia_stream` that was just made.
        """
        self._note: ctypes.c_int | None = None
        event_type, *note = (ctypes.c_int * 4).from_address(stream + self._OFFSET)
        if event_type in _DYNAMIC and note == [-1, 0, 0]:
            self._note = ctypes.c_int.from_address(stream + self._OFFSET + 4)

    @property
    def is_found(self) -> bool:
        """True when the note is where this build has it."""
        return self._note is not None

    def clear(self) -> None:
        """Let the library report the next packet, whatever it is.  Only while the stream lives."""
        if self._note is not None:
            self._note.value = -1


def _call(name: str, stream: int) -> None:
    function = getattr(ctypes.CDLL(pj.LIBRARY_PATH), name)
    function(ctypes.c_void_p(stream), ctypes.c_int(pj.PJMEDIA_DIR_ENCODING))
