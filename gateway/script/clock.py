"""Times of day in speech: out of recognized words, and back to words."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.script.numbers import HOMOPHONES, hour_evidence, say_number
from gateway.script.words import tokens

_TIME_LEADS = frozenset(
    {"at", "past", "to", "around", "about", "by", "before", "after", "until", "till", "from"}
)
_PARTS_OF_DAY = {
    "am": "am", "morning": "am", "pm": "pm", "afternoon": "pm", "evening": "pm", "night": "pm",
    "tonight": "pm",
}  # fmt: skip


def clock_time(text: str, *, is_asked: bool = True) -> str | None:
    """Read a time of day: "half past three", "3:30 pm", "quarter to five", "noon".

    Args:
        text: what was recognized.
        is_asked: False = the caller was not asked for it: a bare number is no time then.

    Returns:
        "HH:MM" on a 24-hour clock.  Without a part of the day, 8 to 11 are taken as morning and
        12 to 7 as afternoon.
    """
    heard = [word for word in tokens(text) if word != ","]
    for word, hour in (("noon", 12), ("midday", 12), ("midnight", 0)):
        if word in heard:
            return f"{hour:02d}:00"
    part = next((_PARTS_OF_DAY[word] for word in heard if word in _PARTS_OF_DAY), "")
    if (heard and heard[-1] in {"a", "p"}) or heard[-2:] in (["a", "m"], ["p", "m"]):
        part = "am" if "a" in heard[-2:] else "pm"
    read = _relative(heard) or _absolute(heard, is_sure=not (is_asked or part))
    if read is None:
        return None
    hour, minute = read
    if hour > 23 or minute > 59:
        return None
    if part == "pm" and hour < 12:
        hour += 12
    elif part == "am" and hour == 12:
        hour = 0
    elif not part and 1 <= hour <= 7 and not any(t.startswith("0") and ":" in t for t in heard):
        hour += 12
    return f"{hour:02d}:{minute:02d}"


def _relative(heard: Sequence[str]) -> tuple[int, int] | None:
    for index, word in enumerate(heard):
        if word not in {"past", "after", "to", "till", "before", "of"} or not index:
            continue
        minutes = {"half": 30, "quarter": 15}.get(heard[index - 1])
        if minutes is None:
            back = index - 2 if heard[index - 1].startswith("minute") and index > 1 else index - 1
            minutes = _minutes_before(heard, back)
        following = heard[index + 1] if index + 1 < len(heard) else ""
        hour = HOMOPHONES.get(following, following)
        if not minutes or not hour.isdigit() or len(hour) > 2 or not 1 <= int(hour) <= 24:
            continue
        if word in {"past", "after"}:
            return int(hour), minutes
        return (int(hour) - 1 or 12), 60 - minutes
    return None


def _minutes_before(heard: Sequence[str], index: int) -> int | None:
    if not heard[index].isdigit() or len(heard[index]) > 2:
        return None
    minutes = int(heard[index])
    if minutes < 10 and index and heard[index - 1] in {"20", "30", "40", "50"}:
        minutes += int(heard[index - 1])
    return minutes if 1 <= minutes < 60 else None


def _absolute(heard: Sequence[str], *, is_sure: bool) -> tuple[int, int] | None:
    numbers = [at for at, word in enumerate(heard) if word[0].isdigit() and len(word) <= 5]
    if not numbers:
        alone = [word for word in heard if word in HOMOPHONES]
        near = {"at", "oclock", "pm", "am"} & set(heard)
        is_time = alone and (near or (len(heard) == 1 and not is_sure))
        return (int(HOMOPHONES[alone[-1]]), 0) if is_time else None
    at = max(numbers, key=lambda index: hour_evidence(heard, index, _TIME_LEADS))
    word = heard[at]
    if is_sure and hour_evidence(heard, at, _TIME_LEADS) == 0:
        return None
    if ":" in word:
        hour, _, minute = word.partition(":")
        return int(hour), int(minute)
    if len(word) > 2:
        return (int(word[:-2]), int(word[-2:])) if len(word) < 5 else None
    return int(word), _minute(heard, at + 1)


def _minute(heard: Sequence[str], index: int) -> int:
    rest = list(heard[index : index + 2])
    if rest and rest[0] in {"oh", "o", "0"}:
        return int(rest[1]) if len(rest) > 1 and rest[1].isdigit() and len(rest[1]) == 1 else 0
    if rest and rest[0].isdigit() and len(rest[0]) == 2:
        minute = int(rest[0])
        units = int(rest[1]) if len(rest) > 1 and rest[1].isdigit() and len(rest[1]) == 1 else 0
        return minute + units if minute % 10 == 0 and minute >= 20 else minute
    return 0


def say_time(clock: str) -> str:
    """Spell "HH:MM": "15:30" -> "three thirty in the afternoon"."""
    hour, minute = (int(part) for part in clock.split(":"))
    if minute == 0 and hour in {0, 12}:
        return "midnight" if hour == 0 else "noon"
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    spoken = (
        ""
        if minute == 0
        else f" oh {say_number(minute)}"
        if minute < 10
        else f" {say_number(minute)}"
    )
    return f"{say_number(hour % 12 or 12)}{spoken} {part}"
