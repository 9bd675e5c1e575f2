"""The dictionaries of hibari's text front end in a tenth of their memory.

As Python objects they take 100 MB and half a second, in each worker.  Here keys and values stay the
JSON that they come as, in two stretches of bytes, and a key is found by bisection, some 5 us;
hardly a hundred are looked up for a sentence.
"""

from __future__ import annotations

import gzip
import json
import re
from array import array
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_ENTRY = re.compile(rb"(%s):(%s|\{[^{}]*\})" % (_TEXT, _TEXT))
"""Of an object of texts and flat objects, without white space."""


class PackedTable:
    """A read-only mapping of text to what JSON can hold, by `get` alone."""

    def __init__(self, entries: list[tuple[bytes, bytes]]) -> None:
        """Take keys and values, each as `written`; the list is sorted."""
        entries.sort(key=itemgetter(0))
        self._keys, self._key_ends = _joined([key for key, _ in entries])
        self._values, self._value_ends = _joined([value for _, value in entries])
        self.get = lru_cache(4096)(self._find)

    def __len__(self) -> int:
        return len(self._key_ends) - 1

    def _find(self, key: str) -> Any:  # noqa: ANN401 - whatever the JSON holds
        """Return the value of a key; None where there is none."""
        wanted, low, high = written(key), 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._keys[self._key_ends[middle] : self._key_ends[middle + 1]] < wanted:
                low = middle + 1
            else:
                high = middle
        if low == len(self) or self._keys[self._key_ends[low] : self._key_ends[low + 1]] != wanted:
            return None
        return json.loads(self._values[self._value_ends[low] : self._value_ends[low + 1]])


def load_table(path: Path) -> Any:  # noqa: ANN401 - a JSON file
    """Read a JSON file, packed by gzip or not."""
    return json.loads(read_table(path))


def read_table(path: Path) -> bytes:
    """Read the text of a JSON file, packed by gzip or not."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def packed(text: bytes) -> PackedTable:
    """Pack a JSON object, in UTF-8; fast where its values are texts and flat objects."""
    entries = _entries(text)
    if entries is None:
        entries = [(written(key), written(value)) for key, value in json.loads(text).items()]
    return PackedTable(entries)


def load_packing(path: Path, name: str) -> dict[str, Any]:
    """Read a JSON object, and pack one of its values, which is an object: fast for the last one."""
    text = read_table(path)
    key = written(name)
    head, _, tail = text.partition(key + b":{")
    entries = _entries(b"{" + tail[:-1])
    if entries is not None:
        others: dict[str, Any] = json.loads(head + key + b":0}")
        return others | {name: PackedTable(entries)}
    whole: dict[str, Any] = json.loads(text)  # it is not the last one
    return whole | {name: packed(written(whole[name]))}


def written(value: object) -> bytes:
    """Write JSON in the one way in which keys are compared."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _entries(text: bytes) -> list[tuple[bytes, bytes]] | None:
    """Find keys and values of a JSON object; None where it is not written as `_ENTRY` says."""
    found: list[tuple[bytes, bytes]] = _ENTRY.findall(text)
    if b"{%s}" % b",".join(map(b":".join, found)) != text:
        return None
    if b"\\" in text:
        return [(written(json.loads(k)) if b"\\" in k else k, value) for k, value in found]
    return found


def _joined(parts: list[bytes]) -> tuple[bytes, array[int]]:
    ends = array("I", [0])
    ends.frombytes(np.cumsum(np.fromiter(map(len, parts), np.uint32), dtype=np.uint32).tobytes())
    return b"".join(parts), ends
