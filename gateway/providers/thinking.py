"""Keeps a model's thoughts off the line: some servers stream them before the answer."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class ThoughtFilter:
    """Removes `<think>...</think>` from the beginning of a streamed text, wherever it is cut."""

    def __init__(self) -> None:
        self._held = ""
        self._is_inside = False
        self._has_begun = False

    def feed(self, text: str) -> str:
        """Take a piece; return what of the text so far is to be spoken and was not returned yet."""
        if self._has_begun:
            return text
        self._held += text
        while True:
            if self._is_inside:
                _, end, after = self._held.partition(CLOSE)
                if not end:
                    self._held = self._held[-len(CLOSE) :]  # the tag may come in pieces
                    return ""
                self._is_inside, self._held = False, after
            head = self._held.lstrip()
            if not head.startswith(OPEN):
                break
            self._is_inside, self._held = True, head[len(OPEN) :]
        if OPEN.startswith(head):
            return ""
        self._has_begun = True
        return head

    def rest(self) -> str:
        """End of the text: return what was held back because it might have become a tag."""
        return "" if self._is_inside or self._has_begun else self._held.strip()
