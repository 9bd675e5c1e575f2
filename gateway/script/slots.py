"""A sentence -> the value of one slot.  Orders are in `order`."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from gateway.script.clock import clock_time
from gateway.script.email_address import email_address
from gateway.script.model import Slot
from gateway.script.numbers import digit_string, quantity
from gateway.script.spelling import spelled
from gateway.script.words import find, vocabulary, words

_YES = (
    "yes", "yeah", "yep", "yup", "ya", "yah", "yas", "sure", "correct", "right", "exactly", "okay",
    "absolutely", "definitely", "certainly", "of course", "go ahead", "please do", "that is it",
    "that is fine", "sounds good", "perfect", "great", "fine", "uh huh", "mhm", "affirmative",
    "good", "indeed", "yet", "guess",
)  # fmt: skip
_NO = (
    "no", "nope", "nah", "not", "never", "wrong", "incorrect", "negative", "now", "know", "noh",
    "nay", "no thanks", "no thank you", "nothing", "stop", "uh uh",
)  # fmt: skip
_SURE_NO = frozenset({"not", "wrong", "incorrect", "nope", "nah", "no", "never"})
_PLAIN = vocabulary("thank thanks you please it is that i am all for me well oh um uh be would do")


def yes_or_no(text: str) -> str | None:
    """Return "yes", "no" or None; "that's not right" is a no, "now" alone is a misheard no."""
    heard = words(text)
    if not heard:
        return None
    if heard[0] in {"no", "nope", "nah"} or _SURE_NO & set(heard):
        return "no"
    if any(find(words(phrase), heard) >= 0 for phrase in _YES):
        return "yes"
    rest = [word for word in heard if word not in _PLAIN]
    return "no" if rest and all(word in _NO for word in rest) else None


def only_yes_or_no(text: str) -> str | None:
    """Like `yes_or_no`, but None when more was said than the answer and politeness."""
    known = (
        {word for phrase in (*_YES, *_NO) for word in words(phrase)} | _PLAIN | {"thats", "very"}
    )
    return yes_or_no(text) if all(word in known for word in words(text)) else None


_STOPS = ("stop", "wait", "hold on", "hang on", "not now", "do not", "cancel", "forget it", "no")
_STOP_PLAIN = _PLAIN | vocabulary("one a moment second minute sorry excuse actually just that this")


def key_of(text: str) -> str:
    """Return the key of "one", "Two." or "*"; empty where more was said, or something else."""
    bare = text.strip().rstrip(".")
    if bare in {"*", "#"}:
        return bare
    heard = words(text)
    return heard[0] if len(heard) == 1 and len(heard[0]) == 1 and heard[0].isdigit() else ""


def is_stop(text: str) -> bool:
    """Return whether a sentence only says that something is not to go on: "no, wait", "hold on"."""
    heard = words(text)
    known = {word for phrase in _STOPS for word in words(phrase)} | _STOP_PLAIN
    return any(find(words(phrase), heard) >= 0 for phrase in _STOPS) and set(heard) <= known


def choose(slot: Slot, text: str) -> str | None:
    """Pick one of a slot's choices: by key, by words, else by likeness of the letters."""
    pressed = text.strip().rstrip(".")
    if pressed in slot.keys:
        return slot.keys[pressed]
    heard = words(text)
    forms = [
        (value, words(form)) for value, more in slot.choices.items() for form in (value, *more)
    ]
    found = [
        (len(form), -at, value) for value, form in forms if form and (at := find(form, heard)) >= 0
    ]
    if found:  # the longest form; among equals the last said, which is the corrected one
        longest = max(size for size, _, _ in found)
        return min((at, value) for size, at, value in found if size == longest)[1]
    return nearest([(value, " ".join(form)) for value, form in forms], " ".join(heard))


def nearest(forms: list[tuple[str, str]], heard: str) -> str | None:
    """Pick the value whose form has the most alike letters, if it is alike enough and no tie."""
    squeezed = heard.replace(" ", "")
    if not 3 <= len(squeezed) <= 40:
        return None
    ratios: dict[str, float] = {}
    for value, form in forms:
        ratio = SequenceMatcher(None, squeezed, form.replace(" ", ""), autojunk=False).ratio()
        ratios[value] = max(ratio, ratios.get(value, 0.0))
    ranked = sorted(ratios.items(), key=lambda pair: -pair[1])
    if not ranked or ranked[0][1] < 0.72:
        return None
    return ranked[0][0] if len(ranked) == 1 or ranked[0][1] - ranked[1][1] > 0.05 else None


_NAME_LEAD = re.compile(
    r"^.*?\b(?:my name is|my name's|name is|this is|i am|i'm|it is|it's|call me|speaking to|"
    r"i said|no|actually|sorry|i mean|i meant|it should be|the name is|that's|that is)\b[\s,:]*",
    re.IGNORECASE,
)
_NAME_TAIL = re.compile(
    r"[\s,]*\b(?:speaking|here|please|thanks|thank you|is my name|calling|instead|not)\b.*$",
    re.IGNORECASE,
)
_NAME_LEAD_SHORT = re.compile(
    r"^(?:(?:yes|yeah|sure|okay|ok|oh|um|uh|well|hi|hello|hey|so|and|of course)\b[\s,.!]*)+",
    re.IGNORECASE,
)
_NO_NAME = vocabulary(
    "i my me am be was will have to please it what who why when where how can could do does yes no "
    "you not the a an is help sorry want would order number call later nothing know thing"
)


def person_name(text: str) -> str | None:
    """Read a name: "my name is Anna Lee", "Anna speaking", "A-N-N-A"."""
    rest = _NAME_LEAD_SHORT.sub("", text.strip())
    while (shorter := _NAME_LEAD.sub("", rest, count=1)) != rest:
        rest = shorter
    rest = _NAME_TAIL.sub("", rest)
    letters = re.fullmatch(r"(?:[A-Za-z][\s.,-]+){2,}[A-Za-z][.!]?", rest.strip())
    if letters:
        return "".join(c for c in rest if c.isalpha()).capitalize()
    parts = [part for part in re.findall(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*", rest) if part]
    if not 1 <= len(parts) <= 4 or re.search(r"[\d?]", rest):
        return None
    if any(part.lower() in _NO_NAME for part in parts):
        return None
    return " ".join(part if part[1:] != part[1:].lower() else part.capitalize() for part in parts)[
        :80
    ]


def free_text(text: str) -> str | None:
    """Return the sentence without white space around it."""
    rest = " ".join(text.split())[:2000]
    return rest if re.search(r"\w", rest) else None


def digits_wanted(slot: Slot) -> range:
    """Return which lengths a dictated number may have."""
    least = max(slot.min_digits, 5) if slot.type == "phone_number" else slot.min_digits
    most = min(slot.max_digits, 15) if slot.type == "phone_number" else slot.max_digits  # E.164: 15
    return range(least, max(least, most) + 1)


def extract(slot: Slot, text: str, *, is_asked: bool = True) -> str | None:
    """Find a valid value for a slot of any type but `items`.

    Args:
        slot: what is looked for.
        text: what was recognized.
        is_asked: False = the caller was not asked for it, only what is sure counts.

    Returns:
        The canonical value, None when there is none.
    """
    if slot.type in {"digits", "phone_number"}:
        wanted = digits_wanted(slot)
        found: str | None = digit_string(text, wanted)
        return found if found and len(found) in wanted else None
    if slot.type == "quantity":
        number = quantity(text, is_asked=is_asked)
        return str(number) if number is not None and slot.min <= number <= slot.max else None
    if slot.type == "choice":
        return choose(slot, text)
    if slot.type == "time":
        return clock_time(text, is_asked=is_asked)
    if slot.type == "spelling":
        return spelled(text, is_asked=is_asked)
    plain = {
        "yes_no": yes_or_no,
        "name": person_name,
        "email": email_address,
        "text": free_text,
    }
    return plain[slot.type](text)
