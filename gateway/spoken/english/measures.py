"""Measures, fractions, comparisons and sums.  CLDR knows what most units are called."""

from __future__ import annotations

import re
from functools import lru_cache

from babel.units import format_unit

from gateway.spoken.numerals import NUMBER, cardinal, ordinal, plain_amount
from gateway.spoken.rules import Rule, alternatives, link_word

_CLDR = {
    "mph": "speed-mile-per-hour", "km/h": "speed-kilometer-per-hour",
    "kmh": "speed-kilometer-per-hour", "kph": "speed-kilometer-per-hour",
    "m/s": "speed-meter-per-second", "lbs": "mass-pound", "lb": "mass-pound", "oz": "mass-ounce",
    "ft": "length-foot", "yd": "length-yard", "mi": "length-mile", "km": "length-kilometer",
    "m": "length-meter", "cm": "length-centimeter", "mm": "length-millimeter",
    "kg": "mass-kilogram", "g": "mass-gram", "mg": "mass-milligram",
    "l": "volume-liter", "L": "volume-liter", "ml": "volume-milliliter", "mL": "volume-milliliter",
    "dl": "volume-deciliter", "cl": "volume-centiliter", "gal": "volume-gallon",
    "qt": "volume-quart", "pt": "volume-pint", "tsp": "volume-teaspoon",
    "tbsp": "volume-tablespoon", "hrs": "duration-hour", "hr": "duration-hour",
    "h": "duration-hour", "mins": "duration-minute", "min": "duration-minute",
    "secs": "duration-second", "sec": "duration-second", "s": "duration-second",
    "ms": "duration-millisecond", "wks": "duration-week", "wk": "duration-week",
    "yrs": "duration-year", "yr": "duration-year", "mos": "duration-month", "W": "power-watt",
    "kW": "power-kilowatt", "MW": "power-megawatt", "kWh": "energy-kilowatt-hour",
    "V": "electric-volt", "mAh": "", "kB": "digital-kilobyte", "KB": "digital-kilobyte",
    "MB": "digital-megabyte", "GB": "digital-gigabyte", "TB": "digital-terabyte",
    "Hz": "frequency-hertz", "kHz": "frequency-kilohertz", "MHz": "frequency-megahertz",
    "GHz": "frequency-gigahertz", "m\u00b2": "area-square-meter", "km\u00b2": "area-square-kilometer",
    "cm\u00b2": "area-square-centimeter", "ft\u00b2": "area-square-foot",
    "sq ft": "area-square-foot", "sqft": "area-square-foot", "sq. ft.": "area-square-foot",
    "sq m": "area-square-meter", "m\u00b3": "volume-cubic-meter", "cm\u00b3": "volume-cubic-centimeter",
    "psi": "pressure-pound-force-per-square-inch", "kcal": "energy-kilocalorie",
    "\u00b0C": "temperature-celsius", "\u00b0F": "temperature-fahrenheit", "hPa": "pressure-hectopascal",
    "in.": "length-inch", "\u03bcg": "mass-microgram", "\u03bcm": "length-micrometer", "bar": "pressure-bar",
}  # fmt: skip
_OWN = {
    "Mbps": "megabits per second", "Mbit/s": "megabits per second", "Gbps": "gigabits per second",
    "kbps": "kilobits per second", "MB/s": "megabytes per second", "dB": "decibels",
    "mAh": "milliamp hours", "fps": "frames per second", "rpm": "revolutions per minute",
    "mpg": "miles per gallon", "px": "pixels", "bpm": "beats per minute", "K": "kelvin",
    "c.": "cups", "\u00b0": "degrees", "ppm": "parts per million", "cal": "calories", "pcs": "pieces",
}  # fmt: skip
_ONE = {"degrees": "degree", "decibels": "decibel", "pixels": "pixel", "calories": "calorie",
        "pieces": "piece", "cups": "cup"}  # fmt: skip
_SPACED_ONLY = frozenset({"m", "s", "g", "h", "l", "K", "W", "V", "min", "pt", "bar"})
_UNIT = alternatives([*_CLDR, *(u for u in _OWN if u not in {"K", "\u00b0"})])
_UNIT_END = r"(?![\w\u00b2\u00b3])(?:\.(?=\s+[a-z]))?"
_SIGNED = rf"([-\u2212+]?)({NUMBER})"
_NOT_BEHIND = r"(?<![\w.,$\u20ac\u00a3/])"
_TO = r"(?:\s?[-\u2013\u2014]\s?|\s+to\s+)"
_SUPERSCRIPTS = str.maketrans(
    "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "-0123456789"
)
_HALVES = {2: ("half", "halves"), 4: ("quarter", "quarters")}
_DENOMINATORS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 32, 64, 100})


@lru_cache(512)
def unit_name(unit: str, *, is_one: bool) -> str:
    """Name a unit in words; "lbs" gives "pounds"."""
    if unit in _OWN:
        return _ONE.get(_OWN[unit], _OWN[unit]) if is_one else _OWN[unit]
    count = 1 if is_one else 2
    said = format_unit(count, _CLDR[unit], length="long", locale="en_US").removeprefix(f"{count} ")
    return said.replace("-", " ").replace("/", " ")


def signed(sign: str, written: str) -> str:
    """Read a number with its sign."""
    said = plain_amount(written).words
    return f"minus {said}" if sign in {"-", "\u2212"} else f"plus {said}" if sign == "+" else said


def _measure(found: re.Match[str]) -> str:
    is_one = plain_amount(found[2]).is_one
    return f"{signed(found[1], found[2])} {unit_name(found[3], is_one=is_one)}"


def _measure_range(found: re.Match[str]) -> str:
    unit = unit_name(found[6], is_one=False)
    return f"{signed(found[1], found[2])} {link_word(found)} {signed(found[4], found[5])} {unit}"


def _feet_and_inches(found: re.Match[str]) -> str:
    feet, inches = int(found[1]), int(found[2])
    return (
        f"{cardinal(feet)} {unit_name('ft', is_one=feet == 1)} "
        f"{cardinal(inches)} {'inch' if inches == 1 else 'inches'}"
    )


def _hours_and_minutes(found: re.Match[str]) -> str:
    hours, minutes = int(found[1]), int(found[2])
    return (
        f"{cardinal(hours)} {unit_name('h', is_one=hours == 1)} "
        f"{cardinal(minutes)} {unit_name('min', is_one=minutes == 1)}"
    )


def _inches(found: re.Match[str]) -> str:
    """Read "six inches", but "a twelve inch pizza"."""
    is_one = found[1] == "1" or re.match(r"\s[a-z]+", found.string[found.end() :])
    return f"{plain_amount(found[1]).words} {'inch' if is_one else 'inches'}"


def _degrees(found: re.Match[str]) -> str:
    return f"{signed(found[1], found[2])} {'degree' if found[2] == '1' else 'degrees'}"


def _percent(found: re.Match[str]) -> str:
    return f"{signed(found[1], found[2])} percent"


def _percent_range(found: re.Match[str]) -> str:
    return f"{signed(found[1], found[2])} {link_word(found)} {signed(found[3], found[4])} percent"


def _fraction(found: re.Match[str]) -> str:
    whole, top, bottom = found[1], int(found[2]), int(found[3])
    noun = found[4] or ""
    if bottom not in _DENOMINATORS or not 0 < top < bottom:
        return found[0]
    if whole:
        part = "a half" if (top, bottom) == (1, 2) else _parts(top, bottom, one="a")
        return f"{cardinal(int(whole))} and {part}{noun}"
    if noun and not re.match(
        r"\s+(?:of|in|is|are|and|or|to|the|off|versus|but|with|from|for|on|at|by|than)\b", noun
    ):
        if (top, bottom) == (1, 2):
            return f"half {_article(noun)}{noun}"
        return f"{_parts(top, bottom, one='a')} of {_article(noun)}{noun}"
    return _parts(top, bottom, one="one") + noun


def _article(noun: str) -> str:
    if noun.strip().startswith(("hour", "honor", "honest", "heir")):
        return "an"
    return "an" if noun.strip()[0] in "aeiou" and not noun.strip().startswith("u") else "a"


def _parts(top: int, bottom: int, *, one: str) -> str:
    singular, plural = _HALVES.get(bottom, (ordinal(bottom), f"{ordinal(bottom)}s"))
    return f"{one} {singular}" if top == 1 else f"{cardinal(top)} {plural}"


def _out_of(found: re.Match[str]) -> str:
    return f"{plain_amount(found[1]).words} out of {cardinal(int(found[2]))}"


_COUNTED = re.compile(
    r"[-+]?(?:[$\u20ac\u00a3]|[\d.,]*\s?(?:%|\u00b0|(?!(?:and|but|are|the|for|who|can|may|get|or|is|we)\b)[a-zA-Z]{2,}))"
)
_IS_ASKED = re.compile(r"\b[Ii]s\s+[\d.,]+\s*\Z")
_VARIABLE = re.compile(r"\b[a-zA-Z]\Z")
_ABOVE = {"<": ("under", "less than"), ">": ("over", "more than")}


def _compared(found: re.Match[str]) -> str:
    """Read "under sixty five", but "less than five minutes"."""
    is_counted = _COUNTED.match(found.string, found.end())
    said = _ABOVE[found[1]][1 if is_counted else 0]
    if _VARIABLE.search(found.string, 0, found.start()):
        said = "is less than" if found[1] == "<" else "is greater than"
    elif re.search(r"\d\s*\Z", found.string[: found.start()]):
        said = "less than" if found[1] == "<" else "greater than"
        said = said if _IS_ASKED.search(found.string, 0, found.start()) else f"is {said}"
    return f" {said} "


def _power(found: re.Match[str]) -> str:
    return f" {_say_power(found[1])}"


def _say_power(written: str) -> str:
    names = {"\u00b2": "squared", "2": "squared", "\u00b3": "cubed", "3": "cubed"}
    minus = "minus " if written[0] in "-\u2212" else ""
    power = written.lstrip("+-\u2212")
    return names.get(written) or f"to the power of {minus}{cardinal(int(power))}"


def _scientific(found: re.Match[str]) -> str:
    return f"{plain_amount(found[1]).words} times ten {_say_power(found[2])}"


def _root(found: re.Match[str]) -> str:
    return f"the square root of {plain_amount(found[1]).words}"


COMPARISONS: tuple[Rule, ...] = (
    (re.compile(r"\s?(?:~=?|\u2248|\u223c|\u2243)\s?(?=[$\u20ac\u00a3]?\d)"), " about "),
    (re.compile(r"\s?(?:\u00b1|\+/-)\s?(?=\d)"), " plus or minus "),
    (
        re.compile(
            r"(?<=\d)(\u207b?[\u00b9\u00b2\u00b3\u2070\u2074-\u2079]{2,}|\u207b[\u00b9\u00b2\u00b3\u2070\u2074-\u2079])"
        ),
        lambda m: "^" + m[1].translate(_SUPERSCRIPTS),
    ),
    (
        re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,2})\b(?!-)"),
        _scientific,
    ),
    (re.compile(r"\s?(?:<=|\u2264|=<)\s?(?=[-+$\u20ac\u00a3]?\d)"), " at most "),
    (re.compile(r"\s?(?:>=|\u2265)\s?(?=[-+$\u20ac\u00a3]?\d)"), " at least "),
    (re.compile(r"\s?([<>])\s?(?=[-+$\u20ac\u00a3]?\d)"), _compared),
)
MEASURES: tuple[Rule, ...] = (
    (re.compile(rf"(?<![\w.,/])((?:\d+[ -])?\d{{1,2}}/\d{{1,2}})\s?({_UNIT}){_UNIT_END}"),
     lambda m: f"{m[1]} {unit_name(m[2], is_one=' ' not in m[1] and '-' not in m[1])}"),
    (re.compile(r"(?<![\w.])(\d+)'\s?(?:x|\u00d7|by)\s?(\d+)'(?!\s?\d)"),
     lambda m: f"{cardinal(int(m[1]))} feet by {cardinal(int(m[2]))} feet"),
    (re.compile(r"(?<![\w.])([3-8])'\s?(\d{1,2})(?![\w'\"])"), _feet_and_inches),
    (re.compile(r"(?<![\w.])(\d{1,3})\s?h(?:rs?)?\s?([0-5]?\d)(?:\s?m(?:ins?)?)?\b"), _hours_and_minutes),
    (re.compile(rf"(?<![\w.,])(\d+),(?=\d{{1,2}}\s?(?:{_UNIT}|%|\u00b0){_UNIT_END})"), r"\1."),
    (re.compile(r"(?<=\d)\s?[x\u00d7]\s?(?=\d[\d.,]*(?:\s?[x\u00d7]\s?\d[\d.,]*)*"
                r"\s?(?:cm|mm|m|ft|in|inch|inches|feet|px|pixels)\b)|(?<=\d)x(?=\d)"), " by "),
    (re.compile(r"(?<![\w.])(\d)'\s?(\d{1,2})(?:\"|'')"), _feet_and_inches),
    (re.compile(r"(?<![\w.])(\d+)\s?ft\.?\s(\d{1,2})\s?in\b\.?(?!\s+[a-z])"), _feet_and_inches),
    (re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(?:\"|''| ?in(?=[,;:!?)]|\.?\s*$))"),
     _inches),
    (re.compile(rf"(?<![\w.,]){_SIGNED}\s?({_UNIT})?{_TO}{_SIGNED}\s?({_UNIT}){_UNIT_END}"),
     _measure_range),
    (re.compile(rf"(?<![\w.,]){_SIGNED}[\s-]?({_UNIT}){_UNIT_END}"), _measure),
    (re.compile(rf"(?<![\w.,]){_SIGNED}\s?%?{_TO}{_SIGNED}\s?%"), _percent_range),
    (re.compile(rf"(?<![\w.,]){_SIGNED}\s?%"), _percent),
    (re.compile(rf"(?<![\w.,]){_SIGNED}\s?\u00b0(?!\s?[A-Z]\w)"), _degrees),
)  # fmt: skip
FRACTIONS: tuple[Rule, ...] = (
    (re.compile(r"(?<![\w./])9/11\b"), "nine eleven"),
    (re.compile(r"(?<![\w.,/])(5|10|100)/(\1)(?![\w/]|\.\d)"), _out_of),
    (re.compile(r"(?<![\w.,/-])50-50\b"), "fifty fifty"),
    (re.compile(r"(?:(?<=scored )|(?<=rated )|(?<=graded ))(\d+(?:\.\d)?)/(\d{1,3})(?![\w/]|\.\d)"), _out_of),
    (re.compile(r"(?<![\w.,/])(\d+(?:\.\d)?)/(\d{1,3})(?=\s*(?:stars?|points?|people|rating|score)\b)"),
     _out_of),
    (re.compile(r"(?<![\w.,/])((?!1/|3/)\d{1,2}(?:\.\d)?)/(10|100)(?![\w/]|\.\d)"), _out_of),
    (re.compile(r"\b((?:[Pp]age|[Pp]art|[Ss]tep|[Ss]lide|[Qq]uestion)\s\d+)/(?=\d)"), r"\1 of "),
    (re.compile(r"(?<![\w.,/])(?:(\d+)[ -])?(\d{1,3})/(\d{1,3})(?![\w/]|\.\d)(\s+[a-z]+)?"), _fraction),
    (re.compile(r"(?<![\w.,/])50/50\b"), "fifty fifty"),
    (re.compile(r"(?<=\d)/(?=\d)"), " slash "),
)  # fmt: skip
SUMS: tuple[Rule, ...] = (
    (re.compile(r"\s?(?:<=|\u2264)\s?"), " is less than or equal to "),
    (re.compile(r"\s?(?:>=|\u2265)\s?"), " is greater than or equal to "),
    (re.compile(r"(?<=\w)\s?<\s?(?=\w)(?!\s?3\b)"), " is less than "),
    (re.compile(r"(?<=\w)\s?>\s?(?=\w)"), " is greater than "),
    (re.compile(r"\s?(?:!=|\u2260)\s?"), " is not equal to "),
    (re.compile(r"\s?(?:~=?|\u2248|\u223c|\u2243)\s?(?=[$\u20ac\u00a3]?\d)"), " about "),
    (re.compile(r"\s?\u2248\s?"), " is about "),
    (re.compile(r"\s?(?:\u00b1|\+/-)\s?"), " plus or minus "),
    (re.compile(r"\u221a\s?\(?(\d+(?:\.\d+)?)\)?"), _root),
    (re.compile(r"(?<![\w.])(?<=\d)[eE]([+-]?\d{1,2})\b"), lambda m: f" times ten to the power of "
     f"{'minus ' if m[1].startswith('-') else ''}{cardinal(int(m[1].lstrip('+-')))}"),
    (re.compile(r"(?<=[\w)])\s?\^\s?([-\u2212]?\d+)\b"), _power),
    (re.compile(r"(?<=\d)([\u00b2\u00b3])|(?<=\b[a-zA-Z])(?:[\u00b2\u00b3])"),
     lambda m: " squared" if m[0] == "\u00b2" else " cubed"),
    (re.compile(r"[\u00b9\u00b2\u00b3\u2070-\u2079]+"), ""),
    (re.compile(r"(?<=\d)\s?x\s?(?=\d[^=]*=)"), " times "),
    (re.compile(r"(?<=\d)\s?x\s?(?=\d)"), " by "),
    (re.compile(r"(?<![\w.])(\d+)\s?[x\u00d7](?=[\s.,;!?)]|$)(?!\s?\d)"),
     lambda m: f"{cardinal(int(m[1]))} times"),
    (re.compile(r"(?<=[\d)])\s(?:[-\u2212\u2013])\s(?=[\d(][^=]*=)"), " minus "),
    (re.compile(r"(?<=[\w)])\s?\u2212\s?(?=[\w(])"), " minus "),
    (re.compile(r"(?<=\w)\s?\u00f7\s?(?=\w)|(?<=\d)\s/\s(?=\d)"), " divided by "),
    (re.compile(r"\s?\u00d7\s?"), " times "),
    (re.compile(r"(?<=[\d)])\s?\+\s?(?=[\d(])"), " plus "),
    (re.compile(r"(?<=\b[a-zA-Z])\+\+"), " plus plus"),
    (re.compile(r"(?<=\w)\s?\+(?=\s|[.,;!?)]|$)"), " plus "),
    (re.compile(r"(?<=\w)\s?\+\s?(?=\w)"), " plus "),
    (re.compile(r"(?<!\w)\+\s?(?=\d)"), " plus "),
    (re.compile(r"\s?(?:==?|\u2261)\s?(?!>)"), " equals "),
    (re.compile(r"\u221e"), " infinity "),
    (re.compile(r"\u03c0"), " pi "),
    (re.compile(r"\u2211|\u03a3"), " sum "),
)  # fmt: skip
