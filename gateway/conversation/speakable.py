"""Text as a language model writes it -> text as it is read aloud."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_MARKUP: tuple[_Rule, ...] = (
    (re.compile(r"```.*?(?:```|\Z)", re.DOTALL), " "),
    (re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>]*>|<(?=https?://)"), " "),
    (re.compile(r"^[ \t]*(?:\|[ \t|:-]*|[*_-]{3,}[ \t]*)$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*\|(.*?)\|?[ \t]*$", re.MULTILINE), lambda row: _cells(row[1])),
    (re.compile(r"^[ \t]*(?:#{1,6}|>+|[-+*\u2022](?:[ \t]+\[[ xX]\])?)[ \t]+", re.M), "\n"),
    (re.compile(r"^[ \t]*(\d{1,3})[.)][ \t]+", re.MULTILINE), r"\n\1, "),
    (re.compile(r"(?<=\d) ?\* ?(?=\d)"), " times "),
    (re.compile(r"\*+|~~|`+|(?<!\w)_+|_+(?!\w)"), ""),
    (re.compile(r"_+"), " "),
)
_ADDRESS = re.compile(
    r"(?P<mail>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?:https?://|www\.)(?P<url>[^\s<>()\"]*[\w/])"
)
_DATE = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_PHONE = re.compile(
    r"(?<![\w.,$€£¥/:-])"
    r"\+?(?:\(\d{1,5}\)|\d+)(?:[ .\u2011-]?(?:\(\d{1,5}\)|\d+))*"
    r"(?![\w:/%]|[.,]\d)"
)
_NO_PHONE = re.compile(
    r"\d{1,3}(?:\.\d{3})+"  # thousands
    r"|(?:19|20)\d\d[ -](?:19|20)\d\d"  # years
    r"|\d{1,2}\.\d\d ?- ?\d{1,2}\.\d\d"  # hours
    r"|\d{1,2}\.\d+"  # a decimal
)
_CURRENCIES = {
    "$": ("dollar", "cent"),
    "€": ("euro", "cent"),
    "£": ("pound", "penny"),
    "¥": ("yen", ""),
}
_MAGNITUDES = {"k": "thousand", "m": "million", "bn": "billion"}
_MONEY_BEFORE = re.compile(
    r"([$€£¥]) ?(\d+)(?:\.(\d{1,2}))?(?!\d|\.\d)"
    r"(?: ?(thousand|million|billion|bn|[kKmM])\b)?"
)
_MONEY_AFTER = re.compile(r"(?<![\d.])(\d+)(?:[.,](\d\d))? ?([€£¥])")
_CLOCK = r"\b([01]?\d|2[0-4]):([0-5]\d)(?![:\d])"

# "am" is a word too: it belongs to a time only behind one.
_HOUR = (
    r"(\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|fifteen|thirty|forty-five))"
)

_ENGLISH: tuple[_Rule, ...] = (
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (_MONEY_BEFORE, lambda m: _money(m[1], m[2], m[3], m[4])),
    (_MONEY_AFTER, lambda m: _money(m[3], m[1], m[2], None)),
    (re.compile(r"\b24/7\b"), "24 7"),
    (re.compile(r"(?<=[\d%])(?:[\u2013-]| [\u2013-] )(?=\d)"), " to "),
    (re.compile(_CLOCK + r"(?! ?[ap]\.?m)"), lambda m: _clock(m, " o'clock")),
    (re.compile(_CLOCK), lambda m: _clock(m, "")),
    (re.compile(r"(?<![^\W\d_])([ap])\.m\.(?=\s*$)", re.IGNORECASE), r" \1 m."),
    (re.compile(r"(?<![^\W\d_])([ap])\.m\.", re.IGNORECASE), r" \1 m"),
    (re.compile(_HOUR + r" ?([ap])m\b", re.IGNORECASE), r"\1 \2 m"),
    (re.compile(r"(?<= m) ?[\u2013-] ?(?=\d)"), " to "),
    (re.compile(r"\be\.g\.,?"), "for example"),
    (re.compile(r"\bi\.e\.,?"), "that is"),
    (re.compile(r"\betc\."), "et cetera."),
    (re.compile(r"\bapprox\."), "approximately"),
    (re.compile(r"\bvs\."), "versus"),
    (re.compile(r"\b[Nn]o\. ?(?=\d)|#(?=\d)"), "number "),
    (re.compile(r"\b([CF])#"), r"\1 sharp"),
    (re.compile(r" ?°\s?C\b"), " degrees Celsius"),
    (re.compile(r" ?°\s?F\b"), " degrees Fahrenheit"),
    (re.compile(r" ?°"), " degrees "),
    (re.compile(r"\bkm/h\b"), "kilometers per hour"),
    (re.compile(r"~ ?(?=\d)"), "about "),
    (re.compile(r"(?<!\w)-(?=\d)"), "minus "),
    (re.compile(r" ?% ?"), " percent "),
    (re.compile(r" ?& ?"), " and "),
    (re.compile(r" ?@ ?"), " at "),
    (re.compile(r"(?<=\w) ?\+ ?(?=\w)"), " plus "),
    (re.compile(r" ?= ?"), " equals "),
    (re.compile(r" ?\N{MULTIPLICATION SIGN} ?"), " times "),
)
_TIDY: tuple[_Rule, ...] = (
    (re.compile(r"(?<=[^\W\d])/(?=[^\W\d])"), " "),
    (re.compile(r"(?<!\w)[\u200c\u200d]|[\u200c\u200d](?!\w)"), ""),
    (re.compile(r"(?<=[\w,;])[ \t]*\n[ \t]*(?=[a-z])"), " "),
    (re.compile(r"(?<=[\w)'])[ \t]*\n\s*"), ". "),
    (re.compile(r"\s+"), " "),
    (re.compile(r" +(?=[.,;:!?])"), ""),
    (re.compile(r"([!?,;:])(?:\1)+"), r"\1"),
)
_SILENT = frozenset('*_~#|\\^<>{}[]`"\u201c\u201d\u201e\u00ab\u00bb\u2022\ufe0e\ufe0f\u20e3')
_SILENT_CATEGORIES = frozenset(("So", "Sk", "Cs", "Co", "Cn", "Cc", "Cf", "Me", "Sm"))
_READ_ALOUD = frozenset("°+=\N{MULTIPLICATION SIGN}\N{DIVISION SIGN}\N{MINUS SIGN}")
_JOINERS = "\u200c\u200d\n\t"
"""Persian and Indic scripts need the first two."""


def speakable(text: str, language: str = "en") -> str:
    """Take out what is not read aloud, spell out what a synthesizer reads wrong.

    Args:
        text: one piece of a reply, with or without Markdown.
        language: the words for symbols are English; other languages keep `%`, `€` and the like,
            which their synthesizers read in their own words.

    Returns:
        One line; empty where there is nothing to say.
    """
    text = _apply(_MARKUP, unicodedata.normalize("NFC", text))
    text = _DATE.sub(_date, text) if _is_english(language) else text
    text = _ADDRESS.sub(lambda found: _address(found, language), text)
    text = _PHONE.sub(_phone, text)
    if _is_english(language):
        text = _apply(_ENGLISH, text)
    text = "".join(map(_voiced, text))
    text = _apply(_TIDY, text).strip()
    return text if any(map(str.isalnum, text)) else ""


def _apply(rules: tuple[_Rule, ...], text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _is_english(language: str) -> bool:
    return language.lower().startswith("en")


def _voiced(character: str) -> str:
    """The character itself, or a blank where nobody would say it."""
    if character in _JOINERS:
        return character
    is_silent = character in _SILENT or unicodedata.category(character) in _SILENT_CATEGORIES
    return " " if is_silent and character not in _READ_ALOUD else character


def _cells(row: str) -> str:
    return ", ".join(cell.strip() for cell in row.split("|") if cell.strip())


def _address(found: re.Match[str], language: str) -> str:
    dot, slash, at = (" dot ", " slash ", " at ") if _is_english(language) else (". ", " ", " @ ")
    address = found["mail"] or found["url"].removeprefix("www.").rstrip("/")
    return address.replace(".", dot).replace("/", slash).replace("@", at)


def _date(found: re.Match[str]) -> str:
    return f"{_MONTHS[int(found[2]) - 1]} {int(found[3])}, {found[1]}"


def _phone(found: re.Match[str]) -> str:
    """Seven digits and more are read one by one, in the groups they were written in."""
    written = found[0]
    count = sum(map(str.isdigit, written))
    if count < 7 or _NO_PHONE.fullmatch(written):
        return written
    groups = ", ".join(" ".join(group) for group in re.findall(r"\d+", written))
    return f"plus {groups}" if written.startswith("+") else groups


def _money(sign: str, whole: str, fraction: str | None, magnitude: str | None) -> str:
    unit, small = _CURRENCIES[sign]
    if magnitude:
        magnitude = _MAGNITUDES.get(magnitude.lower(), magnitude)
        amount = f"{whole}.{fraction}" if fraction else whole
        return f"{amount} {magnitude} {unit}s"
    words = f"{whole} {_plural(unit, int(whole))}"
    if not fraction or not int(fraction) or not small:
        return words
    parts = int(fraction.ljust(2, "0"))
    cents = f"{parts} {_plural(small, parts)}"
    return f"{words} and {cents}" if int(whole) else cents


def _plural(unit: str, count: int) -> str:
    if count == 1 or unit == "yen":
        return unit
    return "pence" if unit == "penny" else f"{unit}s"


def _clock(found: re.Match[str], full_hour: str) -> str:
    hour, minute = int(found[1]), int(found[2])
    if not minute:
        return f"{hour}{full_hour}"
    return f"{hour} oh {minute}" if minute < 10 else f"{hour} {minute}"
