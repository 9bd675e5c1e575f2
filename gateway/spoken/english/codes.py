"""Telephone numbers, codes and references: what is read digit by digit, letter by letter."""

from __future__ import annotations

import re

import phonenumbers

from gateway.spoken.numerals import cardinal, digits
from gateway.spoken.rules import Rule

_DIALLED = re.compile(
    r"(?:call|dial|phone|text|fax|ring|reach|tel|telephone|mobile|cell|number|at|on)\W+(?:\w+\W+){0,2}\Z",
    re.IGNORECASE,
)
_TELEPHONE = re.compile(
    r"(?<![\w.,$\u20ac\u00a3\u00a5/:-])"
    r"(?:\+\s?)?(?:\(\d{1,5}\)|\d+)(?:(?:\s?[.\u00b7-]\s?|\s?/\s?(?=\d{4})|\s)?(?:\(\d{1,5}\)|\d+))*"
    r"(?![\w:/%\u00b0]|[.,]\d)"
)
_VANITY = re.compile(r"(?<![\w-])(1-)?(\d{3})-([A-Z]{4,}[A-Z\d-]*|\d[\dA-Z-]*[A-Z][\dA-Z-]*)\b")
_TRUNK_ZERO = re.compile(r"^(\+\s?\d{1,3})\s?\(0\)\s?")
"""Of "+49 (0)30": it is not dialled after a country's code."""
_ROUND = re.compile(r"\d+000|\d+00")
_YEARS = re.compile(r"(?:1[5-9]|20)\d\d[\s-]+(?:1[5-9]|20)\d\d")
_MASKED = re.compile(r"(?:[*xX\u2022\u25cf]{2,}[\s-]?)+(\d{2,6})(?!\w)")

_CODE_NOUN = (
    r"(?:codes?|pin|passcode|password|otp|reference|ref|ticket|confirmation|booking|reservation|zip"
    r"|postcode|invoice|tracking|serial|extension|ext|flight|membership|policy|claim|routing|account"
    r"|acct|licence|license|plate|passport|id|iban|swift|vin|sku|isbn|case)"
)
_COUNT_NOUN = (
    r"(?:number|no|order|card|member|customer|key|digits?|room|apartment|suite|gate|bus|line)"
)
_IS = r"(?:\s+(?:code|number|no|id|key|is|was|are|reads|will be|ending in|ends in|ends with|starts with|#|that's))*"
_CODE = re.compile(
    rf"\b({_CODE_NOUN}{_IS}[:\s#.\"'-]*?[\s:#])(\d{{3,}}(?:-\d+)*|\d{{1,2}}(?:-\d{{3,}})+)(?![\w%]|[.,]\d)",
    re.I,
)
_LONG_CODE = re.compile(rf"\b({_COUNT_NOUN}{_IS}[:\s#\"'-]*[\s:#])(\d{{4,}})(?![\w%]|[.,]\d)", re.I)
_ROOM = re.compile(
    r"\b((?:[Rr]oom|[Ss]uite|[Ee]xtension|[Ff]light|[Hh]ighway|[Rr]oute)\s)(\d{3})(?![\w.,]\d|\w)"
)
_MIXED = re.compile(
    r"(?<![\w.,$@/-])(?=[A-Za-z\d./-]*\d)(?=[A-Za-z\d./-]*[A-Za-z])[A-Za-z\d]+(?:[-/][A-Za-z\d]+)*(?![\w@])"
)
_PARTS = re.compile(r"[A-Za-z]+|\d+")
_WORDS_WITH_NUMBER = re.compile(r"[A-Z]?[a-z]{2,}-?\d+|[A-Z]{4,}-?\d{1,3}")
_DIGIT_GROUPS = re.compile(r"(?<![\w.,/$-])\d{1,4}(?:-\d{1,4}){2,}(?![\w%]|-\w|\.\d)")
_SPACED_DIGITS = re.compile(r"(?<![\w.,])\d(?:\s\d){2,}(?![\w.,]\d|\w)")
_DASHED_DIGITS = re.compile(r"(?<![\w.,])\d(?:\s[-\u2013]\s\d){2,}(?![\w.,]\d|\w|\s[-\u2013=])")
_EMERGENCY = re.compile(
    r"(\b(?:call|dial|text|ring|press)\s+)(\d{3,6})(?=[\s.,;:!?)]|$)(?!\s+(?:people|times|of|customers|minutes|days))",
    re.IGNORECASE,
)
_BIG = re.compile(r"(?<![\w.,$\u20ac\u00a3\u00a5/:-])\d{7,}(?![\w%]|[.,]\d)")
_ZIP = re.compile(r"\b([A-Z]{2})\s(\d{5})(?:-(\d{4}))?\b")


def say_telephone(written: str) -> str:
    """Read the digits in their groups; one long number in those of its country."""
    if not re.search(r"\d\D+\d", written):
        written = _grouped(written)
    groups = re.findall(r"\d+", written)
    said = ", ".join(digits(group) for group in groups)
    return f"plus {said}" if written.startswith("+") else said


def _grouped(written: str) -> str:
    try:
        number = phonenumbers.parse(written, "US")
    except phonenumbers.NumberParseException:
        return written
    if not phonenumbers.is_possible_number(number):
        return written
    is_foreign = written.startswith("+")
    style = phonenumbers.PhoneNumberFormat
    grouped = phonenumbers.format_number(
        number, style.INTERNATIONAL if is_foreign else style.NATIONAL
    )
    return (
        grouped if len(re.findall(r"\d", grouped)) == len(re.findall(r"\d", written)) else written
    )


def _telephone(found: re.Match[str]) -> str:
    written = _TRUNK_ZERO.sub(r"\1 ", found[0].strip())
    groups = re.findall(r"\d+", written)
    count = sum(map(len, groups))
    if count < 7 or not _is_telephone(written, groups, found):
        return found[0]
    return say_telephone(written)


def _is_telephone(written: str, groups: list[str], found: re.Match[str]) -> bool:
    if "+" in written or "(" in written:
        return True
    if len(groups) == 1:
        return len(groups[0]) in {10, 11} and bool(_DIALLED.search(found.string, 0, found.start()))
    if _YEARS.fullmatch(written) or re.fullmatch(r"\d{1,3}(?:\.\d{3})+", written):
        return False
    if len(groups) == 2:
        lengths = tuple(map(len, groups))
        is_short = lengths == (3, 4) and (" " not in written or groups[1].startswith("0"))
        is_dialled = bool(_DIALLED.search(found.string, 0, found.start()))
        return is_short or groups[0].startswith("0") or (is_dialled and min(lengths) > 2)
    return max(map(len, groups)) <= 8


def _vanity(found: re.Match[str]) -> str:
    first = "one, " if found[1] else ""
    rest = ", ".join(
        word if word.isalpha() else digits(word) if word.isdigit() else say_mixed(word)
        for word in found[3].split("-")
    )
    return f"{first}{digits(found[2])}, {rest.lower()}"


def _digit_groups(found: re.Match[str]) -> str:
    groups = found[0].split("-")
    if all(len(group) == 1 for group in groups):
        return " ".join(map(digits, groups))
    return ", ".join(map(digits, groups))


def _after_word(found: re.Match[str]) -> str:
    return found[1] + _long(found[2])


def _long(written: str) -> str:
    """Read digits one by one, with a pause in what is too long for one group."""
    if "-" in written:
        return ", ".join(map(digits, written.split("-")))
    if len(written) < 9:
        return digits(written)
    size = 4 if len(written) % 4 == 0 else 3
    return ", ".join(digits(written[at : at + size]) for at in range(0, len(written), size))


def _big(found: re.Match[str]) -> str:
    """Read a long number digit by digit, unless it is a round one."""
    written = found[0]
    is_amount = written.endswith("000") and not written.startswith("0")
    return cardinal(int(written)) if is_amount and len(written) < 16 else _long(written)


def say_mixed(written: str) -> str:
    """Read letters and digits one by one: "A B one two"."""
    return " ".join(
        digits(part) if part.isdigit() else " ".join(part.upper())
        for part in _PARTS.findall(written)
    )


def _mixed(found: re.Match[str]) -> str:
    written = found[0]
    if _WORDS_WITH_NUMBER.fullmatch(written):
        word, number, _ = re.split(r"-?(\d+)", written, maxsplit=1)
        return f"{word} {cardinal(int(number))}"
    groups = re.split(r"[-/]", written)
    if any(re.fullmatch(r"[A-Za-z]?[a-z]{2,}", group) for group in groups):  # "24-hour", "mid-2026"
        return _compound(groups)
    if re.search(r"[a-z]{3,}", written) and not re.search(r"\d[a-z]+\d", written):
        return " ".join(
            cardinal(int(part)) if part.isdigit() else part for part in _PARTS.findall(written)
        )
    parts = _PARTS.findall(written)
    if len(parts) == 2 and len(groups) <= 2 and max(map(len, parts)) <= 2 and len(written) <= 4:
        is_short = sum(map(len, (p for p in parts if p.isalpha()))) == 1 or len(written) <= 3
        if is_short:
            return " ".join(
                cardinal(int(p)) if p.isdigit() and not p.startswith("0") else
                digits(p) if p.isdigit() else " ".join(p.upper()) for p in parts
            )  # fmt: skip
    return ", ".join(say_mixed(group) for group in groups)


def _compound(groups: list[str]) -> str:
    said = []
    for group in groups:
        if group.isdigit():
            said.append(cardinal(int(group)))
        elif re.search(r"\d", group):
            said.append(say_mixed(group))
        else:
            said.append(group)
    return " ".join(said)


def _zip(found: re.Match[str]) -> str:
    rest = f", {digits(found[3])}" if found[3] else ""
    return f"{' '.join(found[1])} {digits(found[2])}{rest}"


TELEPHONES: tuple[Rule, ...] = (
    (_MASKED, lambda m: f"ending in {digits(m[1])}"),
    (re.compile(r"(?:(?<=\s)|^)tel:(?=\+?\d)"), "telephone "),
    (_VANITY, _vanity),
    (re.compile(r"(?<=\d{3})[,;]?(?:\s?(?:ext\.?|extension)\s?|\s+x)(\d{1,6})\b"),
     lambda m: f", extension {digits(m[1])}"),
    (re.compile(r"\b[Ee]xt(?:ension|\.)?\s?(\d{1,6})\b"), lambda m: f"extension {digits(m[1])}"),
    (_TELEPHONE, _telephone),
    (re.compile(r"(\b[Tt]ext\b[^.!?]*?\bto\s+)(\d{5,6})\b"), lambda m: m[1] + digits(m[2])),
    (_EMERGENCY, lambda m: m[1] + digits(m[2])),
)  # fmt: skip
CODES: tuple[Rule, ...] = (
    (_ZIP, _zip),
    (
        re.compile(r"(\b[Ff]light\s)([A-Z]{2})\s?(\d{1,4})\b"),
        lambda m: f"{m[1]}{' '.join(m[2])} {digits(m[3])}",
    ),
    (
        re.compile(
            r"(\b(?:ending in|ends in|ends with|starts with|starting with|digits(?: are)?:?)\s)(\d{2,})(?![\w%]|[.,]\d)"
        ),
        _after_word,
    ),
    (_CODE, _after_word),
    (_LONG_CODE, _after_word),
    (_ROOM, _after_word),
    (_DIGIT_GROUPS, _digit_groups),
    (_SPACED_DIGITS, lambda m: digits(m[0])),
    (_DASHED_DIGITS, lambda m: ", ".join(digits(digit) for digit in re.findall(r"\d", m[0]))),
    (_BIG, _big),
)
_LINES = re.compile(r"(?<![\w.,])(240|360|480|576|720|1080|1440|2160|4320)([pi])(?!\w)")
"""Of a picture."""


def _lines(found: re.Match[str]) -> str:
    """Read "ten eighty P"."""
    return f"{cardinal(int(found[1][:-2]))} {cardinal(int(found[1][-2:]))} {found[2].upper()}"


MIXED: tuple[Rule, ...] = ((_LINES, _lines), (_MIXED, _mixed))
