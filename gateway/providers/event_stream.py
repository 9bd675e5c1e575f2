"""Event streams: the bytes of an answer to lines, and these to JSON values.  Pure but for waiting.

Server-sent events as WHATWG HTML section 9.2 has them, and what servers send instead: events
without blank lines between, lines of JSON, one JSON body, a web page.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

_MAX_BODY = 1_000_000
MOST_LINE_BYTES = 4_000_000
"""Of one line; a longer one ends the reply."""
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EndlessLineError(Exception):
    """A line of more than `MOST_LINE_BYTES`."""


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """Yield the lines of a body without their ends; bytes that are no UTF-8 are replaced.

    Only CR and LF end a line: JSON may hold U+2028 and U+0085, which `str.splitlines` cuts at.

    Raises:
        EndlessLineError: a line is too long.
    """
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        first, *others = _LINE_END.split(chunk)
        parts.append(first)
        size += len(first)
        for part in others:
            yield _decoded(parts)
            parts, size = [part], len(part)
        if size > MOST_LINE_BYTES:
            raise EndlessLineError(f"a line of more than {MOST_LINE_BYTES} bytes")
    if size:
        yield _decoded(parts)


def _decoded(parts: list[bytes]) -> str:
    return b"".join(parts).decode("utf-8", "replace").removeprefix("\ufeff")


class EventReader:
    """Lines of a response body -> JSON values, whether or not it is the stream that was asked for.

    Takes server-sent events, events without blank lines between, lines of JSON, one JSON body.
    """

    def __init__(self) -> None:
        self.is_done = False
        """`[DONE]` has come."""
        self.body = ""
        """What was none of these so far."""
        self._data = ""

    def feed(self, line: str) -> Iterator[object]:
        """Accept a line without its end; yield what it completes."""
        if line.startswith("data:"):
            data = line[5:].strip()
            self.is_done = self.is_done or data.startswith("[DONE]")
            if data and not self.is_done:
                yield from self._parsed(data)
        elif line.strip() and not line.startswith((":", "event:", "id:", "retry:")):
            whole = parsed(line) if line.startswith("{") else None
            if isinstance(whole, dict):
                yield whole
            elif len(self.body) < _MAX_BODY:
                self.body += line + "\n"

    def finish(self) -> Iterator[object]:
        """End of the body: yield the JSON value that all of it is, if it is one."""
        value = parsed(self.body) if self.body else None
        if value is not None:
            self.body = ""
            yield value

    def _parsed(self, data: str) -> Iterator[object]:
        value = parsed(data)
        if value is None and self._data:  # an event of several lines
            value = parsed(f"{self._data}\n{data}")
        if value is None:
            self._data = f"{self._data}\n{data}".strip()[:_MAX_BODY]
            self.body = self._data
        else:
            self._data = self.body = ""
            yield value


def parsed(text: str) -> object:
    """Read a JSON value; None where there is none."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return value[0]  # Gemini's way to send an error
    return value
