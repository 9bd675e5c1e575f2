"""Session descriptions that the library would abort over, mended at equal length.  Pure."""

from __future__ import annotations

import re

from gateway.sip.offer import PLAIN, is_usable_key, media_line

_KEY_LINE = re.compile(rb"^(?:m=.*|a=(crypto)(?![\w-]).*)$", re.IGNORECASE | re.MULTILINE)
_DECLINED = re.compile(rb"m=[\w-]+ +0+[ /]")


def mended(message: bytes) -> bytes:
    """Return a SIP message, as long as it was, without what makes the library refuse or abort."""
    text = bytearray(message)
    for place in useless_keys(message):
        text[place : place + 6] = b"unused"
    return with_session_address(bytes(text))


def useless_keys(message: bytes) -> list[int]:
    """Find crypto lines that cannot be used in descriptions of plain RTP.

    They must be ignored there (RFC 4568 section 6): the audio goes without encryption.  The library
    would refuse the whole offer with 406.

    Args:
        message: any SIP message.

    Returns:
        Places of the word `crypto` in each of these lines.
    """
    is_plain, places = False, []
    for found in _KEY_LINE.finditer(message):
        line = found[0].rstrip(b"\r").decode("utf-8", "replace")
        if found[1] is None:
            media = media_line(line)
            is_plain = media is not None and media.transport in PLAIN
        elif is_plain and not is_usable_key(line):
            places.append(found.start(1))
    return places


def with_session_address(message: bytes) -> bytes:
    """Copy another stream's address (c=) to a declined stream (port 0) that has none.

    It has no use, but the library aborts the process without it: the line of the stream that is
    wanted goes before the first m= line, where it counts for all.

    Args:
        message: any SIP message.

    Returns:
        A message of the same length; the same one where there is nothing to mend.
    """
    head, blank, body = message.partition(b"\r\n\r\n")
    lines = body.splitlines(keepends=True)
    starts = [place for place, line in enumerate(lines) if line.startswith(b"m=")]
    if not starts or not body.startswith(b"v=") or _addresses(lines[: starts[0]]):
        return message
    ends = [*starts[1:], len(lines)]
    streams = [lines[start:end] for start, end in zip(starts, ends, strict=True)]
    bare = [stream for stream in streams if not _addresses(stream)]
    if not bare or not all(_DECLINED.match(stream[0]) for stream in bare):
        return message
    given = [line for stream in streams for line in _addresses(stream)]
    if not given or not given[0].endswith(b"\n"):
        return message
    place = lines.index(given[0])
    moved = [*lines[: starts[0]], given[0], *lines[starts[0] : place], *lines[place + 1 :]]
    return head + blank + b"".join(moved)


def _addresses(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if line.startswith(b"c=")]
