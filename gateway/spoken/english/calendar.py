"""Dates and times of day, as an American reads them."""

from __future__ import annotations

import re

from gateway.spoken.numerals import cardinal, ordinal, year
from gateway.spoken.rules import Rule, link_word

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip
_SHORT_MONTHS = {name[:3].lower(): name for name in _MONTHS}
_MONTH = (
    r"(January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)(?:\.|\b))"
)
_DAYS = {"mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday",
         "sat": "Saturday", "sun": "Sunday"}  # fmt: skip
_DAY = r"(?:Mon|Tues?|Wed|Thur?s?|Fri|Sat|Sun)"
_DASH = r"\s?[-\u2013\u2014]\s?"
_NTH = r"(\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:,?\s+(\d{4}))?(?!\d|[.,]\d|:)"
_MERIDIEM = r"\s?([AaPp])(?:\.\s?[Mm]\.|\.?[Mm]\b)"
_TIME = rf"(\d{{1,2}})(?:[:.]([0-5]\d))?(?::([0-5]\d))?(?:{_MERIDIEM})"
_CLOCK = r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![:\d])"
_IN_CODE = re.compile(
    r"\b(?:codes?|numbers?|account|pin|reference|id)\b\W*(?:is|was|are)?\W*\Z", re.I
)


def _month(written: str) -> str:
    return _SHORT_MONTHS[written[:3].lower()]


def say_date(month: str, day: int, number: int | None) -> str:
    """Read "November twenty eighth twenty twenty six"."""
    said = f"{month} {ordinal(day)}"
    return said if number is None else f"{said} {year(number)}"


def _by_numbers(found: re.Match[str]) -> str:
    """Read 28.11.2026, 11/28/2026, 28/11/26: the month comes first unless that is impossible."""
    first, second = int(found[1]), int(found[3])
    number = int(found[4])
    if len(found[4]) == 2:
        number += 2000 if number < 70 else 1900
    is_day_first = found[2] == "." or first > 12
    day, month = (first, second) if is_day_first else (second, first)
    if month > 12 and day <= 12:
        day, month = month, day
    is_date = 1 <= month <= 12 and 1 <= day <= 31
    if not is_date or _IN_CODE.search(found.string, 0, found.start()):
        return found[0]
    return say_date(_MONTHS[month - 1], day, number)


def _iso(found: re.Match[str]) -> str:
    month, day = int(found[2]), int(found[3])
    said = say_date(_MONTHS[month - 1], day, int(found[1]))
    return said if found[4] is None else f"{said} at {say_time(found[4], found[5], None, None)}"


def _day_and_month(found: re.Match[str]) -> str:
    """Read "28 Nov" month first, but "the 4th of July" as it is written."""
    day, number = int(found[1]), int(found[4]) if found[4] else None
    if not 1 <= day <= 31:
        return found[0]
    if found[2]:
        last = f" {year(number)}" if number else ""
        return f"{ordinal(day)} of {_month(found[3])}{last}"
    return say_date(_month(found[3]), day, number)


def _month_and_days(found: re.Match[str]) -> str:
    first, last = int(found[2]), found[3]
    if not 1 <= first <= 31:
        return found[0]
    said = say_date(_month(found[1]), first, None)
    if last:
        said += f" {link_word(found)} {ordinal(int(last))}"
    return f"{said} {year(int(found[4]))}" if found[4] else said


def _month_and_year(found: re.Match[str]) -> str:
    return f"{_month(found[1])} {year(int(found[2]))}"


def _short_date(found: re.Match[str]) -> str:
    month, day = int(found[2]), int(found[3])
    if month > 12:
        month, day = day, month
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return found[0]
    return f"{found[1].replace('.', '')}{say_date(_MONTHS[month - 1], day, None)}"


def _weekday(found: re.Match[str]) -> str:
    return _DAYS[found[1][:3].lower()]


def _weekdays(found: re.Match[str]) -> str:
    first, last = _DAYS[found[1][:3].lower()], _DAYS[found[2][:3].lower()]
    return f"{first} {link_word(found)} {last}"


def say_time(hour: str, minute: str | None, second: str | None, meridiem: str | None,
             *, is_24h: bool = False) -> str:  # fmt: skip
    """Read a time of day: "three thirty P M", "ten o'clock", "twelve thirty A M" for 00:30."""
    hours, minutes = int(hour), int(minute or 0)
    mark = meridiem.upper() if meridiem else ""
    if not mark and (is_24h or hours == 0 or hours > 12):
        mark = "A" if hours % 24 < 12 else "P"
    said = cardinal(hours % 12 or 12)
    if minutes:
        said += f" oh {cardinal(minutes)}" if minutes < 10 else f" {cardinal(minutes)}"
    elif not mark:
        said += " o'clock"
    said += f" {mark} M" if mark else ""
    return f"{said} and {cardinal(int(second))} seconds" if second and int(second) else said


def _time(found: re.Match[str]) -> str:
    return say_time(found[1], found[2], found[3], found[4]) + _full_stop(found)


def _full_stop(found: re.Match[str]) -> str:
    """The stop of "p.m." ends a sentence where a capital letter or nothing follows."""
    if not found[0].endswith("."):
        return ""
    return "." if re.match(r"\s*(?:\Z|\n)|\s+[A-Z](?![A-Z])", found.string[found.end() :]) else ""


def _time_range(found: re.Match[str]) -> str:
    """Read "9-11 AM", "2pm-4pm", "9:00 a.m. to 5 p.m."."""
    first = (found[1], found[2], found[3], found[4])
    first_said = say_time(*first)
    if found[4] is None:
        first_said = first_said.removesuffix(" o'clock")
    last_said = say_time(found[5], found[6], found[7], found[8])
    return f"{first_said} {link_word(found)} {last_said}{_full_stop(found)}"


def _clock_range(found: re.Match[str]) -> str:
    is_24h = any(int(hour) > 12 or hour.startswith("0") for hour in (found[1], found[4]))
    first = say_time(found[1], found[2], found[3], None, is_24h=is_24h)
    last = say_time(found[4], found[5], found[6], None, is_24h=is_24h)
    return f"{first} {link_word(found)} {last}"


def _clock(found: re.Match[str]) -> str:
    return say_time(found[1], found[2], found[3], None, is_24h=found[1].startswith("0"))


_WORD_HOUR = (
    r"\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|thirty|forty-five"
    r"|noon|o'clock)"
)

DATES: tuple[Rule, ...] = (
    (re.compile(r"((?:day|Mon|Tue|Wed|Thu|Fri|Sat|Sun)\.?,?\s+)(\d{1,2})/(\d{1,2})(?![\w/]|\.\d)"), _short_date),
    (re.compile(r"(?<![\w./])()(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])(?![\w/]|\.\d)(?<!1[0-2]/1[0-9])(?<!1[0-2]/[23]\d)"), _short_date),
    (re.compile(r"(?<![\w./])(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/]|\.\d)"),
     lambda m: f"{_MONTHS[int(m[1]) - 1]} {year(int(m[2]))}"),
    (re.compile(r"\b([QH])([1-4])\s+((?:19|20)\d\d)\b"),
     lambda m: f"{m[1]} {cardinal(int(m[2]))} {year(int(m[3]))}"),
    (re.compile(rf"\b{_MONTH}\s'(\d\d)\b"), lambda m: f"{_month(m[1])} {cardinal(int(m[2]))}"),
    (re.compile(r"\b(?:FY|CY)\s?((?:19|20)\d\d)\b"), lambda m: f"{' '.join(m[0][:2])} {year(int(m[1]))}"),
    (re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?:[T ]([01]\d|2[0-3]):([0-5]\d)"
                r"(?::[0-5]\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w-])"), _iso),
    (re.compile(r"\b(\d{4})/(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])()()\b"),
     lambda m: say_date(_MONTHS[int(m[2]) - 1], int(m[3]), int(m[1]))),
    (re.compile(r"(?<![\w./-])(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})(?![\w/-]|\.\d)"), _by_numbers),
    (re.compile(rf"\b{_MONTH}\s+{_NTH}(?:{_DASH}{_NTH})?{_YEAR}"), _month_and_days),
    (re.compile(rf"\b{_NTH}(\s+of)?[\s-]+{_MONTH}(?:,?[\s-]+(\d{{4}}))?(?!\w)"), _day_and_month),
    (re.compile(rf"\b{_MONTH},?\s+(\d{{4}})\b"), _month_and_year),
    (re.compile(r"\b((?:[Oo]n|[Uu]ntil|[Bb]efore|[Aa]fter|[Ss]ince|[Dd]ue|[Bb]y)\s+)"
                r"(\d{1,2})/(\d{1,2})(?![\w/]|\.\d)"), _short_date),
    (re.compile(r"\b(Mon|Tues?|Thur?s?|Fri)\b(?:\.(?!\s*$|\s+[A-Z]))?(?!-\w)"), _weekday),
    (re.compile(r"(?:(?<=^)|(?<=[.!?]\s))(Wed|Sat|Sun)\b\.?(?=\s(?:is|are)\s(?:closed|open)\b)"), _weekday),
    (re.compile(r"(?:(?<=^)|(?<=[\n,;/&:(]\s)|(?<=[\n/&(])|(?<=\bon\s)|(?<=\band\s)|(?<=day,\s)"
                r"|(?<=[Cc]losed\s)|(?<=[Oo]pen\s)|(?<=[Ee]xcept\s)|(?<=[Ee]very\s)|(?<=[Uu]ntil\s))"
                r"(Wed|Sat|Sun)\b\.?(?=\s*(?:[,/&:;).]|\d|\n|$|(?:and|at|or|closed|open|only|by|from|noon|until|morning"
                r"|afternoon|evening|night)\b))"), _weekday),
    (re.compile(r"\b(Jan|Feb|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=\s)|"
                rf"(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)(?=\s+to\s+{_MONTH})|(?<=\sto\s)(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b|"
            r"(?<=\b[iI]n\s)(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b"),
     lambda m: _month(m[0])),
)  # fmt: skip
WEEKDAYS: tuple[Rule, ...] = (
    (re.compile(rf"\b({_DAY})\b\.?{_DASH}({_DAY})\b\.?(?=\W|$)"), _weekdays),
    (
        re.compile(r"(?<!\w)M[-\u2013](F|Sa|Su)(?=[\s,:]+\d|[,:])"),
        lambda m: f"Monday to {({'F': 'Friday', 'Sa': 'Saturday', 'Su': 'Sunday'})[m[1]]}",
    ),
)
TIMES: tuple[Rule, ...] = (
    (
        re.compile(
            r"(?<![\w.:,$])([01]?\d|2[0-4])\.(00|15|30|45)()\s?[-\u2013]\s?([01]?\d|2[0-4])\.(00|15|30|45)()(?![\w.]\d|\w)"
        ),
        _clock_range,
    ),
    (re.compile(r"\b([Nn]oon|[Mm]idnight)\s?[-\u2013]\s?(?=\d)"), r"\1 to "),
    (re.compile(r"(?<=[\dmM.])\s?[-\u2013]\s?(?=(?:noon|midnight)\b)"), " to "),
    (re.compile(rf"(?<![\w.:,$])(\d{{1,2}})(?:[:.]([0-5]\d))?(?::([0-5]\d))?(?:{_MERIDIEM})?"
                rf"(?:{_DASH}|\s+(?:to|and|until|till)\s+){_TIME}"), _time_range),
    (re.compile(rf"(?<![\w.:,$]){_TIME}"), _time),
    (re.compile(rf"(?<![\w.:,$/]){_CLOCK}\s?[-\u2013\u2014]\s?{_CLOCK}"), _clock_range),
    (re.compile(rf"(?<![\w.:,$/]){_CLOCK}(?:\s?h\b|\s+hours\b|\s+o'clock\b)?"), _clock),
    (re.compile(rf"{_WORD_HOUR}\s?([ap])\.\s?m\.(?=\s*$|\s+[A-Z])", re.IGNORECASE),
     lambda m: f"{m[1]} {m[2].upper()} M."),
    (re.compile(rf"{_WORD_HOUR}{_MERIDIEM}", re.IGNORECASE), lambda m: f"{m[1]} {m[2].upper()} M"),
    (re.compile(r"\b24[/-]7\b"), "twenty four seven"),
)  # fmt: skip
