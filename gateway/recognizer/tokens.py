"""Words to tokens and back: the byte-pair vocabulary that comes with a moonshine model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

BEGIN, END = 1, 2
_FIRST_SPECIAL = 32000
_FIRST_BYTE, _BYTES = 3, 256
_SPACE = "\u2581"  # SentencePiece writes a word's leading space so


class Vocabulary:
    """Tokens by number; a lower number means an earlier, stronger merge."""

    def __init__(self, tokens: list[bytes]) -> None:
        self._tokens = tokens
        merged = tokens[_FIRST_BYTE + _BYTES : _FIRST_SPECIAL]
        self._ranks = {token: rank for rank, token in enumerate(merged, _FIRST_BYTE + _BYTES)}

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """Read `tokenizer.bin`: length-prefixed byte strings (1 byte, or 2 from 128 on)."""
        content = path.read_bytes()
        tokens: list[bytes] = []
        at = 0
        while at < len(content):
            length = content[at]
            at += 1
            if length >= 0x80:
                length += (content[at] << 7) - 0x80
                at += 1
            tokens.append(content[at : at + length])
            at += length
        return cls(tokens)

    def text(self, tokens: Sequence[int]) -> str:
        """Join tokens to readable text; special ones are left out."""
        line = b"".join(self._tokens[t] for t in tokens if END < t < _FIRST_SPECIAL)
        return line.decode(errors="ignore").replace(_SPACE, " ").strip()

    def encode(self, text: str) -> list[int]:
        """Cut text into tokens as the model was taught: strongest merge first."""
        line = _SPACE + " ".join(text.split()).replace(" ", _SPACE)
        pieces = [letter.encode() for letter in line]
        unknown = len(self._tokens)
        while len(pieces) > 1:
            ranks = [self._ranks.get(a + b, unknown) for a, b in pairwise(pieces)]
            best = min(ranks)
            if best == unknown:
                break
            place = ranks.index(best)
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return [token for piece in pieces for token in self._numbers(piece)]

    def encode_glued(self, sign: str) -> list[int]:
        """Cut one character that follows the text before it without a space."""
        return self._numbers(sign.encode())

    def _numbers(self, piece: bytes) -> list[int]:
        rank = self._ranks.get(piece)
        return [rank] if rank is not None else [_FIRST_BYTE + byte for byte in piece]
