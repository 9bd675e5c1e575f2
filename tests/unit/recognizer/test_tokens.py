"""Byte-pair tokens with a small vocabulary made for the purpose."""

from __future__ import annotations

import pytest

from gateway.recognizer.tokens import Vocabulary

SINGLE = [bytes([b]) for b in range(256)]
MERGED = [text.encode() for text in ("▁y", "es", "▁yes", ".", "y", "e", "s", "▁", "n", "o")]


@pytest.fixture
def vocabulary(tmp_path):
    tokens = [b"<unk>", b"<s>", b"</s>", *SINGLE, *MERGED, b"x" * 200]
    line = b""
    for token in tokens:
        size = len(token)
        line += bytes([size]) if size < 128 else bytes([0x80 | size & 0x7F, size >> 7])
        line += token
    (tmp_path / "tokenizer.bin").write_bytes(line)
    return Vocabulary.read(tmp_path / "tokenizer.bin")


def test_strongest_merge_comes_first(vocabulary):
    assert vocabulary.encode("yes.") == [259 + 2, 259 + 3]


def test_unknown_letters_become_bytes(vocabulary):
    assert vocabulary.encode("é") == [259 + 7, 3 + 0xC3, 3 + 0xA9]


@pytest.mark.parametrize("text", ["yes.", "no no yes", "é", "a b"])
def test_text_survives(vocabulary, text):
    assert vocabulary.text([1, *vocabulary.encode(text), 2]) == text
