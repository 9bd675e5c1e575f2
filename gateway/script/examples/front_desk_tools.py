"""Function tools of the front desk: hours, messages, orders.  Kept in this process's memory."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from gateway.conversation.tools import tool

Day = Literal[
    "today",
    "tomorrow",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
]
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS = dict.fromkeys(_WEEK[:5], ("seven", "six")) | {"saturday": ("eight", "four")}


class Hours(TypedDict):
    """Opening hours of one day."""

    day: str
    is_open: bool
    opens: str
    closes: str


class OrderItem(TypedDict):
    """One line of an order."""

    item: str
    quantity: Annotated[int, Field(ge=1, le=50)]
    options: dict[str, str]


class Message(TypedDict):
    """A message that a caller left."""

    name: str
    phone: str
    text: str


class Placed(TypedDict):
    """An accepted order."""

    number: int
    minutes: int


messages: list[Message] = []
orders: dict[int, list[OrderItem]] = {}
_numbers = count(1)


@tool(side_effects=False)  # it only reads, so it may run before the caller's turn is surely over
def opening_hours(day: Day) -> Hours:
    """Tell when the cafe is open on a day.

    Args:
        day: a weekday, or today or tomorrow.
    """
    weekday = _weekday(day)
    opens, closes = _HOURS.get(weekday, ("", ""))
    spoken = day if day in {"today", "tomorrow"} else f"on {weekday.capitalize()}"
    return Hours(day=spoken, is_open=bool(opens), opens=opens, closes=closes)


def _weekday(day: str) -> str:
    if day in _WEEK:
        return day
    shift = timedelta(days={"today": 0, "tomorrow": 1}[day])
    return _WEEK[(datetime.now().astimezone() + shift).weekday()]


def take_message(name: str, phone: str, text: str) -> dict[str, int]:
    """Keep a message for the staff.

    Args:
        name: of the caller.
        phone: digits to call back.
        text: the message in the caller's words.
    """
    messages.append(Message(name=name, phone=phone, text=text))
    return {"number": len(messages)}


def place_order(items: list[OrderItem]) -> Placed:
    """Place an order for collection.

    Args:
        items: what to make: item, quantity and options such as size and milk.

    Raises:
        ValueError: the order is empty.
    """
    if not items:
        raise ValueError("the order is empty")
    number = next(_numbers)
    orders[number] = items
    cups = sum(line["quantity"] for line in items)
    return Placed(number=number, minutes=min(5 + cups, 30))
