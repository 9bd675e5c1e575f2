"""E-mail addresses in speech: "john dot smith at example dot com", and back to words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from gateway.script.spelling import Item, item_at
from gateway.script.words import NUMBER_WORDS, vocabulary

_SYMBOLS = {
    "at": "@", "dot": ".", "point": ".", "period": ".", "dash": "-", "hyphen": "-", "minus": "-",
    "underscore": "_", "plus": "+",
}  # fmt: skip
_SYMBOL_NAMES = {"@": "at", ".": "dot", "-": "dash", "_": "underscore", "+": "plus"}
_MISHEARD = {"con": "com", "calm": "com", "comm": "com", "nett": "net"}
_LEADS = vocabulary(
    "is it it's its that's email mail address yes yeah sure okay oh um uh well no sorry mean meant "
    "wait actually correction under me to use"
)
"""Words that stand before an address, or before its corrected form."""
_ATOM = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+|[@._+-]")
_ADDRESS = re.compile(
    r"(?=.{1,254}$)(?=[^@]{1,64}@)[a-z0-9]+(?:[._+-][a-z0-9]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}"
)
_MOST_ATOMS = 200


def email_address(text: str) -> str | None:
    """Read the last complete address of a sentence.

    Returns:
        Lower case, plain ASCII; None when there is none that could be one.
    """
    written = text.strip().lower().removesuffix(".")
    if _ADDRESS.fullmatch(written):
        return written
    heard = _atoms(text)
    for at in reversed([index for index, atom in enumerate(heard) if atom == "@"]):
        address = _local_part(heard[:at]) + "@" + _domain(heard[at + 1 :])
        if _ADDRESS.fullmatch(address):
            return address
    return None


def say_email(address: str) -> str:
    """Speak an address: "j_lee@web.de" -> "j underscore lee at web dot D E"."""
    parts = re.split(r"([@._+-])", address)
    if len(parts[-1]) == 2:
        parts[-1] = " ".join(parts[-1].upper())
    return " ".join(_SYMBOL_NAMES.get(part, part) for part in parts if part)


def _atoms(text: str) -> list[str]:
    """Split into words, numbers and symbols; a full stop that ends a word is none."""
    plain = unicodedata.normalize("NFKD", text).replace("\u2019", "'").lower()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"\be-mail\b", "email", plain).replace("under score", "underscore")
    plain = re.sub(r"\b[a-z](?:-[a-z])+\b", lambda found: found[0].replace("-", " "), plain)
    plain = re.sub(r"[.-](?=\s|[.,]|$)", " ", plain)
    found = _ATOM.findall(plain)[:_MOST_ATOMS]
    return [_SYMBOLS.get(atom, atom) for atom in found]


def _local_part(heard: Sequence[str]) -> str:
    """Join what stands before the "@", without the words that lead to it."""
    begins = 0
    for at, atom in enumerate(heard[:-1]):
        if atom == "@" or (atom in _LEADS and heard[at + 1] not in _SYMBOL_NAMES):
            begins = at + 1
    return _joined(heard[begins:])


def _domain(heard: Sequence[str]) -> str:
    """Join what stands behind the "@", up to the end of the top-level domain."""
    out: list[str] = []
    at = 0
    while at < len(heard):
        atom = heard[at]
        if atom == "@" or atom in {"_", "+"}:
            break
        is_top = bool(out) and out[-1] == "." and at + 1 < len(heard) and heard[at + 1] != "."
        out.append(atom)
        at += 1
        if is_top and len(atom) > 1:
            break
    return _joined(_cut(out))


def _cut(atoms: Sequence[str]) -> list[str]:
    """Let the last label have one word, or letters only; the rest is another sentence."""
    last = max((at for at, atom in enumerate(atoms) if atom == "."), default=-1)
    top = list(atoms[last + 1 :])
    letters = next((at for at, atom in enumerate(top) if len(atom) > 1), len(top))
    top = top[:letters] if letters else top[:1]
    word = "".join(top)
    return [*atoms[: last + 1], _MISHEARD.get(word, word)]


def _joined(heard: Sequence[str]) -> str:
    """Write words, numbers and spelled letters without spaces."""
    out: list[str] = []
    at = 0
    while at < len(heard):
        item = item_at(heard, at)
        is_spelled = item is not None and _is_code(item, heard[at])
        out.append(item.text if item and is_spelled else heard[at].replace("'", ""))
        at += item.used if item and is_spelled else 1
    return _with_numbers(out)


def _is_code(item: Item, word: str) -> bool:
    """Accept "m as in mike", "m for mike" and "double l", but not "i like tea"."""
    return item.used == 4 or (item.used > 1 and word in {"double", item.text})


def _with_numbers(parts: Sequence[str]) -> str:
    """Write number words as digits: "seventy", "seven" -> "77"."""
    out = ""
    tens = 0
    for part in parts:
        number = NUMBER_WORDS.get(part)
        if tens and number is not None and 0 < number < 10:
            out = out[:-2] + str(tens + number)
        else:
            out += part if number is None else str(number)
        tens = number if number is not None and number in range(20, 100, 10) else 0
    return out
