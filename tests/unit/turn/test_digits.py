"""Keys to answers."""

import pytest

from gateway.turn.digits import DigitCollector, Entry


@pytest.mark.parametrize(
    ("count", "terminator", "keys", "entries"),
    [
        (1, "#", "5", ["5"]),
        (1, "#", "12", ["1", "2"]),
        (1, "#", "#", ["#"]),
        (4, "#", "12345", ["1234"]),
        (4, "#", "12#", ["12"]),
        (4, "#", "10#1234", ["10", "1234"]),
        (None, "#", "123456789#", ["123456789"]),
        (None, "#", "12#34#", ["12", "34"]),
        (None, "", "1#2", []),
    ],
)
def test_keys(count, terminator, keys, entries):
    collector = DigitCollector(count, terminator)
    found = [collector.press(key, number * 0.1) for number, key in enumerate(keys)]
    assert [entry for entry in found if entry is not None] == list(map(Entry, entries))


def test_a_pause_ends_it():
    collector = DigitCollector(None, pause_s=2.0)
    assert collector.advance(9.0) is None
    collector.press("7", 10.0)
    assert collector.digits == "7"
    assert collector.advance(11.9) is None
    assert collector.advance(12.0) == Entry("7", is_ended=False)
    assert collector.advance(20.0) is None


@pytest.mark.parametrize(
    ("count", "typed", "at_s", "is_end"),
    [(4, "1234", 1.0, True), (4, "1234", 9.0, True), (None, "12#", 1.0, True),
     (None, "12#", 99.0, True), (None, "12#3#", 99.0, True), (None, "12#3", 99.0, False),
     (None, "#", 9.0, False),
     (1, "1", 1.0, False), (4, "12", 1.0, False), (4, "", 1.0, False)],
)  # fmt: skip
def test_a_terminator_after_a_whole_number_ends_only_that(count, typed, at_s, is_end):
    collector = DigitCollector(count)
    for key in typed:
        collector.press(key, 0.5)
    assert collector.is_repeated_end("#", at_s) is is_end
    assert not collector.is_repeated_end("5", at_s)


def test_a_late_terminator_is_a_key_where_one_is_wanted_or_something_was_said():
    collector = DigitCollector(None)
    for key in "12#":
        collector.press(key, 0.5)
    assert collector.is_repeated_end("#", 9.0)
    collector.expect(1)
    assert not collector.is_repeated_end("#", 9.0)
    collector.expect(None)
    collector.forget_number()
    assert not collector.is_repeated_end("#", 9.0)


def test_keys_pressed_before_the_question_count():
    collector = DigitCollector(None)
    collector.press("1", 0.0)
    collector.expect(2)
    assert collector.press("2", 0.1) == Entry("12")


def test_a_terminator_is_a_key_again_after_something_else():
    collector = DigitCollector(None)
    for key in "12#":
        collector.press(key, 10.0)
    assert collector.is_repeated_end("#", 13.9)
    collector.forget_number()
    assert collector.is_repeated_end("#", 13.9)  # so soon it still belongs to the number
    assert not collector.is_repeated_end("#", 14.0)
    for key in "12#":
        collector.press(key, 20.0)
    collector.press("#", 30.0)  # nothing else was typed since
    assert collector.digits == "#"


def test_the_usual_pause_is_two_seconds():
    collector = DigitCollector(None)
    collector.press("1", 0.0)
    assert collector.advance(1.99) is None
    assert collector.advance(2.0) == Entry("1", is_ended=False)
