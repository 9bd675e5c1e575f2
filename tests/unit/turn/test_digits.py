"""Keys to answers."""

import pytest

from gateway.turn.digits import DigitCollector


@pytest.mark.parametrize(
    ("count", "terminator", "keys", "answers"),
    [
        (1, "#", "5", ["5"]),
        (1, "#", "12", ["1", "2"]),
        (4, "#", "12345", ["1234"]),
        (4, "#", "12#", ["12"]),
        (4, "#", "#", [""]),
        (None, "#", "123456789#", ["123456789"]),
        (None, "", "1#2", []),
    ],
)
def test_keys(count, terminator, keys, answers):
    collector = DigitCollector(count, terminator)
    found = [collector.press(key, number * 0.1) for number, key in enumerate(keys)]
    assert [answer for answer in found if answer is not None] == answers


def test_a_pause_ends_it():
    collector = DigitCollector(None, pause_s=2.0)
    assert collector.advance(9.0) is None
    collector.press("7", 10.0)
    assert collector.digits == "7"
    assert collector.advance(11.9) is None
    assert collector.advance(12.0) == "7"
    assert collector.advance(20.0) is None
