from __future__ import annotations

import pytest

from gateway.script.basket import read
from gateway.script.loader import FRONT_DESK, load_script
from gateway.script.order import change_order
from gateway.script.speech import say_order

MENU = load_script(FRONT_DESK).menus["drinks"]


@pytest.mark.parametrize(
    ("heard", "order"),
    [
        ("two large lattes and a tea", "two large lattes and a tea"),
        ("2 large lattays.", "two large lattes"),
        ("to lattes and for teas", "two lattes and four teas"),
        ("I'd like to latte", "a latte"),
        ("a large and a small latte", "a large latte and a small latte"),
        ("one large and two small lattes please", "a large latte and two small lattes"),
        ("two teas one large and one small", "a small tea and a large tea"),
        ("two lattes, one with oat milk, and a tea", "a latte, a latte with oat milk and a tea"),
        ("a tea, large, and two lattes", "a large tea and two lattes"),
        ("a latte large and a tea small", "a large latte and a small tea"),
        ("a large, light roast, mocha", "a large light roast mocha"),
        ("half a dozen espressos", "six espressos"),
        ("a couple of cappucinos", "two cappuccinos"),
        ("21 lattes", "twenty-one lattes"),
        ("can I have a coffee with lots of sugar", "a coffee with sugar"),
        (
            "I'd like a twelve-ounce dark roast house coffee with some skim milk and brown sugar",
            "a twelve ounce dark roast house coffee with skim milk and brown sugar",
        ),
        ("A double shot iced mocha with almond milk.", "a double shot iced mocha with almond milk"),
        ("a hundred thousand teas", "a tea"),
        ("99 teas", "fifty teas"),
        ("zero teas", "nothing"),
        ("a decaf please", "nothing"),
    ],
)
def test_orders_are_read(heard: str, order: str) -> None:
    assert say_order(MENU, read(MENU, heard).lines) == order


@pytest.mark.parametrize(
    ("heard", "kind", "order"),
    [
        ("add a mocha", "added", "two large lattes, a small tea and a mocha"),
        ("and another tea", "added", "two large lattes, a small tea and a tea"),
        ("a small tea", "added", "two large lattes and two small teas"),
        ("actually can I also get a mocha", "added", "two large lattes, a small tea and a mocha"),
        ("make it three", "changed", "two large lattes and three small teas"),
        ("no, make it three", "changed", "two large lattes and three small teas"),
        ("make it to", "changed", "two large lattes and two small teas"),
        ("no, make it three lattes", "changed", "a small tea and three large lattes"),
        ("I said three teas", "changed", "two large lattes and three small teas"),
        ("can you make the lattes four", "changed", "a small tea and four large lattes"),
        ("one more", "changed", "two large lattes and two small teas"),
        ("actually a mocha instead", "changed", "two large lattes and a small mocha"),
        ("no, a mocha", "changed", "two large lattes and a small mocha"),
        ("no, I said mocha", "changed", "two large lattes and a small mocha"),
        ("not tea, coffee", "changed", "two large lattes and a small coffee"),
        ("a mocha instead of the tea", "changed", "two large lattes and a small mocha"),
        ("change the latte to a cappuccino", "changed", "a small tea and two large cappuccinos"),
        ("swap the tea for two mochas", "changed", "two large lattes and two small mochas"),
        ("make the tea large", "changed", "two large lattes and a large tea"),
        ("no, large", "changed", "two large lattes and a large tea"),
        ("make them all small", "changed", "two small lattes and a small tea"),
        ("with oat milk", "changed", "two large lattes and a small tea with oat milk"),
        ("remove the tea and add a mocha", "changed", "two large lattes and a mocha"),
        ("remove one latte", "removed", "a small tea and a large latte"),
        ("remove the lattes", "removed", "a small tea"),
        ("no tea", "removed", "two large lattes"),
        ("I don't want the tea", "removed", "two large lattes"),
        ("cancel that", "removed", "two large lattes"),
        ("remove the tea and the lattes", "removed", "nothing"),
        ("that's all", "done", "two large lattes and a small tea"),
        ("No.", "done", "two large lattes and a small tea"),
        ("nope, that's it, thanks", "done", "two large lattes and a small tea"),
    ],
)
def test_orders_are_changed(heard: str, kind: str, order: str) -> None:
    start = change_order(MENU, (), "two large lattes and a small tea")
    assert start is not None
    change = change_order(MENU, start.order, heard)
    assert change is not None
    assert (change.kind, say_order(MENU, change.order)) == (kind, order)


@pytest.mark.parametrize("heard", ["blah blah", "three", "without milk", "remove the mocha", ""])
def test_what_changes_nothing_is_not_understood(heard: str) -> None:
    start = change_order(MENU, (), "two large lattes and a small tea")
    assert start is not None
    assert change_order(MENU, start.order, heard) is None


def test_an_option_can_be_left_out() -> None:
    start = change_order(MENU, (), "a tea with milk and sugar")
    assert start is not None
    change = change_order(MENU, start.order, "no milk")
    assert change is not None
    assert say_order(MENU, change.order) == "a tea with sugar"
