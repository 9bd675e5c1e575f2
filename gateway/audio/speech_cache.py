"""Rendered sentences, kept so that greetings and prompts cost nothing the second time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class SpeechCache:
    """Least recently used sentences go first; bounded in bytes.  Loop thread only."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._sentences: OrderedDict[str, bytes] = OrderedDict()
        self._words: dict[str, Sequence[tuple[int, str]]] = {}
        self.size_bytes = 0
        """PCM kept now."""

    def __len__(self) -> int:
        return len(self._sentences)

    def get(self, text: str) -> bytes | None:
        """Speech of `text` if it is here; it then counts as used."""
        if text in self._sentences:
            self._sentences.move_to_end(text)
        return self._sentences.get(text)

    def words(self, text: str) -> Sequence[tuple[int, str]]:
        """Return at which ms which words of a kept text begin, as far as that is known."""
        return self._words.get(text, ())

    def put(self, text: str, pcm: bytes, words: Sequence[tuple[int, str]] = ()) -> None:
        """Keep the speech of `text`, unless it is empty or larger than the whole cache."""
        self.size_bytes -= len(self._sentences.pop(text, b""))
        self._words.pop(text, None)
        if not pcm or len(pcm) > self._max_bytes:
            return
        self._sentences[text] = pcm
        if words:
            self._words[text] = words
        self.size_bytes += len(pcm)
        while self.size_bytes > self._max_bytes:
            forgotten, oldest = self._sentences.popitem(last=False)
            self._words.pop(forgotten, None)
            self.size_bytes -= len(oldest)

    def clear(self) -> None:
        """Forget everything."""
        self._sentences.clear()
        self._words.clear()
        self.size_bytes = 0
