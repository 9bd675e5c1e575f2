"""Characters that a voice cannot say, and the nearest that it can."""

from __future__ import annotations

import re
import unicodedata

from anyascii import anyascii

from gateway.spoken.numerals import cardinal
from gateway.spoken.rules import Rule, apply

_TYPOGRAPHIC = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u2032\uff07`\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u2033\u300c\u300d", '"'),
        **dict.fromkeys("\u2010\u2011\u00ad\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2012\u2013", "\u2013"),
        **dict.fromkeys("\u2014\u2015\u2e3a\u2e3b", "\u2014"),
        **dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
                        "\u202f\u205f\u3000", " "),
        **dict.fromkeys("\u200b\u2060\ufeff\u200e\u200f\u2061\u2063", None),
        "\u2026": "...", "\u2215": "/", "\u2044": "/", "\u00b5": "\u03bc", "\u2217": "*",
        "\u2103": "\u00b0C", "\u2109": "\u00b0F", "\u2715": "\u00d7", "\u2716": "\u00d7",
    }
)  # fmt: skip
_SOFT_HYPHEN = "\u00ad"
_GROUP_BLANKS = re.compile(r"(?<=\d)[\u00a0\u202f\u2009'\u2019](?=\d{3}(?!\d))")
_APOSTROPHE = re.compile(r"(?<=\d)'(?=\d{3}(?!\d))")
_KEYCAP = re.compile(r"([0-9#*])\ufe0f?\u20e3")
_WIDE = re.compile(r"[\uff01-\uff5e]")
_FRACTION = re.compile(r"(\d)?([\u00bc-\u00be\u2150-\u215e])")

_SILENT = frozenset('*_~#|\\^<>{}[]`"\u2022\ufe0e\ufe0f\u20e3\u00b6\u2020\u2021')
_SILENT_CATEGORIES = frozenset(("So", "Sk", "Cs", "Co", "Cn", "Cc", "Cf", "Me", "Sm"))
_READ_ALOUD = frozenset("\u00b0+=\u00d7\u00f7\u2212")
_JOINERS = "\u200c\u200d\n\t"
"""Persian and Indic scripts need the first two."""
_OTHER_DIGIT = re.compile(r"[^\x00-\x7f]")
_SUPERSCRIPTS = frozenset("\u00b9\u00b2\u00b3\u2070\u2074\u2075\u2076\u2077\u2078\u2079")
_DIGITS = re.compile(r"[0-9]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LATIN = re.compile(r"[^\x00-\x7f]+")

_UNTIDY = re.compile(
    r"\s[\s.,;:!?)]|[\t\n\r\f\v\x1c-\x1f\x85\u2028\u2029]|[.,;:!?][.,;:!?]|\(|\A[\s,;:.!?)-]|[\u200c\u200d]"
)
_TIDY: tuple[Rule, ...] = (
    (re.compile(r"(?<!\w)[\u200c\u200d]|[\u200c\u200d](?!\w)"), ""),
    (re.compile(r"(?<=[\w,;])[ \t]*\n[ \t]*(?=[a-z])"), " "),
    (re.compile(r"(?<=[\w)'])[ \t]*\n\s*"), ". "),
    (re.compile(r"\s+"), " "),
    (re.compile(r"\( *\)"), ""),
    (re.compile(r" +(?=[.,;:!?)])"), ""),
    (re.compile(r"([!?,;:])(?:\1)+"), r"\1"),
    (re.compile(r"[,;:](?=[,;.!?])"), ""),
    (re.compile(r"(?<=[.!?])[,;:]+"), ""),
    (re.compile(r"(?<=\()[ ,;:]+"), ""),
    (re.compile(r"^[\s,;:.!?)-]+"), ""),
    (re.compile(r"\s+"), " "),
)


def typeset(text: str) -> str:
    """Write quotes, dashes, blanks, fractions and wide forms in one way."""
    text = _APOSTROPHE.sub(",", text)
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    text = _GROUP_BLANKS.sub(",", text.replace(_SOFT_HYPHEN, ""))
    text = _KEYCAP.sub(r" \1 ", text)
    text = _WIDE.sub(lambda wide: chr(ord(wide[0]) - 0xFEE0), text)
    text = _FRACTION.sub(_fraction, text)
    return text.translate(_TYPOGRAPHIC)


def _fraction(found: re.Match[str]) -> str:
    written = unicodedata.normalize("NFKC", found[2]).replace("\u2044", "/")
    return f"{found[1]} {written}" if found[1] else written


def voiced(text: str) -> str:
    """Blanks at what is not read aloud."""
    return "".join(map(_voiced, text))


def _voiced(character: str) -> str:
    if character.isalnum() or character in _JOINERS:
        return character
    is_silent = character in _SILENT or unicodedata.category(character) in _SILENT_CATEGORIES
    return " " if is_silent and character not in _READ_ALOUD else character


def romanized(text: str) -> str:
    """Write letters that an English voice does not know with those that come nearest."""
    return text if text.isascii() else _LATIN.sub(_nearest, text)


def plain_digits(text: str) -> str:
    """Write the digits of other scripts, and those in circles, as English does."""
    return text if text.isascii() else _OTHER_DIGIT.sub(_digit, text)


def _digit(found: re.Match[str]) -> str:
    value = unicodedata.digit(found[0], None)
    if value is None or found[0] in _SUPERSCRIPTS:
        return found[0]
    return str(value) if found[0].isdecimal() else f" {value} "


def _nearest(found: re.Match[str]) -> str:
    written = _CAMEL.sub(" ", anyascii(found[0]))
    kept = "".join(c for c in written if c.isalnum() or c in " .,;:!?'-")
    return _DIGITS.sub(lambda number: f" {cardinal(int(number[0][:40]))} ", kept)


def tidy(text: str) -> str:
    """Make one line of it, without the holes that reading has left."""
    if not _UNTIDY.search(text):
        return text.strip()
    return apply(_TIDY, text).strip()
