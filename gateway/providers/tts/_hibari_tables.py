"""The dictionaries of hibari's text front end in a tenth of their memory.

As Python objects they take 100 MB, in each worker.  Here keys and values are two stretches of bytes
and a key is found by bisection, some 5 us; hardly a hundred are looked up for a sentence.
"""

from __future__ import annotations

import gzip
import json
import marshal
from array import array
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any


class PackedTable:
    """A read-only mapping of text to what JSON can hold, by `get` alone."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        """Pack a table, which the caller may drop then."""
        keys = sorted(table)  # by code points, which is the order of their UTF-8
        self._keys, self._key_ends = _joined([key.encode() for key in keys])
        # Half of what JSON takes to write and to read; it stays in this process.
        self._values, self._value_ends = _joined([marshal.dumps(table[key]) for key in keys])
        self.get = lru_cache(4096)(self._find)

    def __len__(self) -> int:
        return len(self._key_ends) - 1

    def _find(self, key: str) -> Any:  # noqa: ANN401 - whatever the JSON holds
        """Return the value of a key; None where there is none."""
        wanted, low, high = key.encode("utf-8", "surrogatepass"), 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._keys[self._key_ends[middle] : self._key_ends[middle + 1]] < wanted:
                low = middle + 1
            else:
                high = middle
        if low == len(self) or self._keys[self._key_ends[low] : self._key_ends[low + 1]] != wanted:
            return None
        found = self._values[self._value_ends[low] : self._value_ends[low + 1]]
        return marshal.loads(found)  # noqa: S302 - written above


def load_table(path: Path) -> Any:  # noqa: ANN401 - a JSON file
    """Read a JSON file, packed by gzip or not."""
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def _joined(parts: list[bytes]) -> tuple[bytes, array[int]]:
    return b"".join(parts), array("I", accumulate(map(len, parts), initial=0))
