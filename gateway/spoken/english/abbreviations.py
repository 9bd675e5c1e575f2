"""Abbreviations, titles and Roman numerals."""

from __future__ import annotations

import re

from gateway.spoken.numerals import cardinal, ordinal
from gateway.spoken.rules import Rule, alternatives

_BEFORE_NAME = {
    "Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miss", "Prof": "Professor",
    "Rev": "Reverend", "Gen": "General", "Col": "Colonel", "Sgt": "Sergeant", "Capt": "Captain",
    "Lt": "Lieutenant", "Hon": "Honorable", "Gov": "Governor", "Sen": "Senator", "Pres": "President",
    "St": "Saint", "Mt": "Mount", "Ft": "Fort", "Cpl": "Corporal", "Maj": "Major", "Fr": "Father",
    "Messrs": "Messieurs", "Rep": "Representative", "Sra": "Senora", "Sr": "Senor",
}  # fmt: skip
_STREETS = {
    "St": "Street", "Ave": "Avenue", "Av": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Ln": "Lane",
    "Dr": "Drive", "Hwy": "Highway", "Pkwy": "Parkway", "Ct": "Court", "Pl": "Place", "Sq": "Square",
    "Ter": "Terrace", "Cir": "Circle", "Trl": "Trail", "Expy": "Expressway",
}  # fmt: skip
_ANYWHERE = {
    "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "approx.": "approximately",
    "vs.": "versus", "vs": "versus", "w/o": "without", "b/c": "because", "c/o": "care of", "n/a": "not available",
    "N/A": "not available", "a.k.a.": "also known as", "aka": "also known as", "appt.": "appointment",
    "appt": "appointment", "dept.": "department", "Dept.": "Department", "govt.": "government",
    "min.": "minimum", "max.": "maximum", "incl.": "including", "excl.": "excluding",
    "tel.": "telephone", "Tel.": "Telephone", "Inc.": "Incorporated", "Ltd.": "Limited",
    "Corp.": "Corporation", "Co.": "Company", "Bros.": "Brothers", "Jr.": "Junior", "Esq.": "Esquire",
    "qty.": "quantity", "qty": "quantity", "Qty": "Quantity", "temp.": "temperature", "est.": "estimated", "misc.": "miscellaneous",
    "avg.": "average", "Apt.": "Apartment", "apt.": "apartment", "Ste.": "Suite", "Bldg.": "Building",
    "bldg.": "building", "Fl.": "Floor", "Rm.": "Room", "rm.": "room", "ext.": "extension", "wk.": "week",
    "Assn.": "Association", "Intl.": "International", "Univ.": "University", "cf.": "compare",
    "ca.": "circa", "info.": "information", "hrs.": "hours", "hrs": "hours", "mins.": "minutes", "mins": "minutes",
    "Apt": "Apartment", "Hwy": "Highway", "Ave.": "Avenue", "Blvd.": "Boulevard", "pls": "please", "thx": "thanks", "asap": "A S A P", "ASAP": "A S A P", "EOD": "end of day", "p.a.": "per annum",
    "mo.": "month", "yr.": "year", "yrs.": "years", "yrs": "years", "lbs.": "pounds", "sq.": "square",
    "orig.": "original", "ref.": "reference", "Ref.": "Reference", "resp.": "respectively", "doz.": "dozen",
}  # fmt: skip
_ANYWHERE |= {
    key.capitalize(): value.capitalize()
    for key, value in _ANYWHERE.items()
    if key.islower() and key.endswith(".") and key.capitalize() not in {*_ANYWHERE, "Mo."}
}
"""At the beginning of a sentence, too."""
_BEFORE_NUMBER = {
    "No": "number", "no": "number", "Nos": "numbers", "Vol": "volume", "vol": "volume",
    "Fig": "figure", "fig": "figure", "pp": "pages", "pg": "page", "p": "page", "Ch": "chapter",
    "Sec": "section", "Art": "article", "Apt": "apartment", "Ste": "suite", "Rm": "room", "Pt": "part",
    "Nr": "number", "\u2116": "number",
}  # fmt: skip
_DIRECTIONS = {"N": "North", "S": "South", "E": "East", "W": "West", "NE": "Northeast",
               "NW": "Northwest", "SE": "Southeast", "SW": "Southwest"}  # fmt: skip
_COUNTED = alternatives(
    """chapter part volume vol section act scene phase stage level type class war book title article
    appendix figure table schedule tier grade bowl episode rocky mark step unit lesson module fantasy
    round category sector platform terminal annex exhibit bible world""".split()  # noqa: SIM905
)
_RULERS = alternatives(
    """Henry Louis Elizabeth Charles James George William Edward Richard Mary Paul Benedict Pius
    Napoleon Philip Frederick Catherine Nicholas Alexander Peter Francis Leo Gregory Innocent Urban
    Clement Ivan Ramses Ramesses Ptolemy Otto Ludwig Wilhelm Gustav Christian Haakon Olav Albert
    Leopold Ferdinand Alfonso Carlos Felipe Umberto Emmanuel Constantine Justinian John Friedrich
    Harald Margrethe Cleopatra Robert David Selim Mehmed Murad Xerxes Darius Philippe Juan Karl
    Willem Baudouin Franz Joseph Adrian Boniface Sixtus Julius Urban""".split()  # noqa: SIM905
)
_ROMAN = r"(?=[IVXLC])(?:C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))"
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_DURATIONS = {"min": "minute", "sec": "second", "hr": "hour"}
_MAY_END = frozenset({"etc.", "hrs.", "mins.", "yrs.", "lbs.", "mo.", "yr.", "wk."})
_STOP = r"(?=\s*(?:\Z|\n)|\s+[A-Z])"


def roman(written: str) -> int:
    """Return the value of a Roman numeral."""
    values = [_VALUES[letter] for letter in written]
    following = [*values[1:], 0]
    return sum(-a if a < b else a for a, b in zip(values, following, strict=True))


def _anywhere(found: re.Match[str]) -> str:
    """The stop of "etc." ends a sentence where a capital letter or nothing follows."""
    written = found[1]
    if not written.endswith("."):
        return _ANYWHERE[written]
    stop = _STOP if written in _MAY_END else r"\s*\Z"
    return _ANYWHERE[written] + ("." if re.match(stop, found.string[found.end() :]) else "")


def _street(found: re.Match[str]) -> str:
    is_end = found[0].endswith(".") and re.match(r"\s*(?:\Z|\n)|\s+[A-Z][a-z]+\s+[a-z]",
                                                 found.string[found.end() :])  # fmt: skip
    return _STREETS[found[1]] + ("." if is_end else "")


def _initials(found: re.Match[str]) -> str:
    """Read "U.S." letter by letter."""
    letters = " ".join(found[0].replace(".", "").upper())
    is_end = found[0].endswith(".") and re.match(r"\s*\Z", found.string[found.end() :])
    return letters + ("." if is_end else "")


def _duration(found: re.Match[str]) -> str:
    """Read "5 min." as minutes, not as the least."""
    said = f"{found[1]} {_DURATIONS[found[2]]}{'' if found[1] == '1' else 's'}"
    return said + ("." if re.match(_STOP, found.string[found.end() :]) else "")


ABBREVIATIONS: tuple[Rule, ...] = (
    (re.compile(r"\b([Rr]oom|[Ss]uite|[Uu]nit|[Aa]partment|[Gg]ate)\s#\s?(?=\d)"), r"\1 "),
    (re.compile(r"\b[Aa]pt\.?\s?#?\s?(?=\d)"), "apartment "),
    (re.compile(rf"(?<=[a-z]\s)({alternatives(_STREETS)})\b\.?(?=\s*(?:[,.;:!?)]|$|\n|and\b|in\b|at\b|near\b|is\b|#|\d|[NS][EW]\b))"),
     _street),
    (re.compile(rf"\b((?:{alternatives(_STREETS.values())}) )([NS][EW])\b\.?"),
     lambda m: f"{m[1]}{_DIRECTIONS[m[2]]}"),
    (re.compile(r"(?<![\w.])(\d+(?:[.,]\d+)?)\s?(min|sec|hr)s?\.(?=\s|\Z)"), _duration),
    (re.compile(rf"\b({alternatives(set(_BEFORE_NAME) - {'Sr', 'Rep'})})\b\.?(?=\s+(?:[A-Z\u00c0-\u00de]|(?:and|or|&)\s+(?:Mrs?|Ms|Dr)\b))"),
     lambda m: _BEFORE_NAME[m[1]]),
    (re.compile(r"(?<=[a-z])(,?\s)(?:Sr)\b\.?"), r"\1Senior"),
    (re.compile(r"(?<=[a-z])(,?\s)(?:Jr)\b\.?(?=\W|$)"), r"\1Junior"),
    (re.compile(r"\bPh\.?\s?D\b\.?"), "P H D"),
    (re.compile(rf"(?<![\w.])({alternatives(_BEFORE_NUMBER)})\.\s?(?=\d|[A-Z]\d)"),
     lambda m: f"{_BEFORE_NUMBER[m[1]]} "),
    (re.compile(r"\u2116\s?"), "number "),
    (re.compile(r"\u00a7\u00a7?\s?"), "section "),
    (re.compile(r"(?:(?<=\s)|(?<=^)|(?<=\())#\s?(?=[A-Z]{0,3}-?\d)"), "number "),
    (re.compile(r"(?<=[a-z])\s#(?=(?:\s(?:is|was|are))?[\s:]+[A-Z]{0,3}-?\d)"), " number"),
    (re.compile(r"\b([CF])#(?=\W|$)"), r"\1 sharp"),
    (re.compile(rf"(?<![\w.])({alternatives(_ANYWHERE)})(?!\w)"), _anywhere),
    (re.compile(r"(?<!\w)[Ww]/\s?(?=\w)"), "with "),
    (re.compile(rf"(?<=\d\s)({alternatives(_DIRECTIONS)})\b\.?(?=\s+[A-Z\d])"),
     lambda m: _DIRECTIONS[m[1]]),
    (re.compile(r"(?<![\w.])(?:[A-Z]\.){2,}|(?<![\w.])(?:[A-Z]\.)+[A-Z](?![\w])|(?<![\w.])(?:[a-z]\.){3,}"), _initials),
    (re.compile(r"(?<![\w.])([A-HJ-Z])\.(?=\s+[A-Z])"), r"\1"),
)  # fmt: skip
ROMAN: tuple[Rule, ...] = (
    (re.compile(rf"\b(({_RULERS})\s+)({_ROMAN}{{1}})\b(?<=[IVXLC])(?!\s?[.']\w)"),
     lambda m: f"{m[1]}the {ordinal(roman(m[3]))}" if len(m[3]) > 1 or m[3] in "VX" else
     f"{m[1]}the first" if not re.match(r"\s+[a-z]+", m.string[m.end():]) else m[0]),
    (re.compile(rf"\b((?:{_COUNTED})\s+)({_ROMAN})\b(?<=[IVXLC])(?=\W|$)(?!\s+(?:am|have|was|will|do|can)\b)",
                re.IGNORECASE),
     lambda m: f"{m[1]}{cardinal(roman(m[2]))}" if m[2].isupper() else m[0]),
    (re.compile(r"(?<=[a-z]\s)(II|III|IV|VI{1,3}|IX|XI{0,3}|XIV|XV|XVI{0,3}|XIX|XX)\b(?![\w'-])"),
     lambda m: cardinal(roman(m[1]))),
)  # fmt: skip
