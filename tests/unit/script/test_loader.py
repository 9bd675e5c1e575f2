# ruff: noqa: E501  (a table reads better in one line per case)
from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from gateway.errors import ConfigError
from gateway.script.loader import FRONT_DESK, load_script, parse_script

GOOD = dedent("""\
    [main]
    greeting = "Hi."

    [intents.go]
    phrases = ["go"]
    flow = "trip"

    [slots.day]
    type = "text"
    ask = "When?"

    [[flows.trip.steps]]
    ask = "day"
    """)


def test_the_example_is_without_fault() -> None:
    assert load_script(FRONT_DESK).main.greeting.startswith("Thank you for calling")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('greeting = "Hi."', 'greting = "Hi."', '2: main.greting: unknown key (did you mean "greeting"?)'),
        ('greeting = "Hi."', 'greeting = "Hi {dya}."', '2: main.greeting: no slot or result "dya" (did you mean "day"?)'),
        ('greeting = "Hi."', 'greeting = "Hi {"', "2: main.greeting: a brace that is no {slot}"),
        ('greeting = "Hi."', 'greeting = "Hi."\ndone = "x"', '3: main.done: no flow "x"'),
        ('flow = "trip"', 'flow = "tripp"', '6: intents.go.flow: no flow "tripp" (did you mean "trip"?)'),
        ('flow = "trip"', 'flow = "trip"\nsay = "x"', "4: intents.go: give exactly one of say, flow and action"),
        ('phrases = ["go"]', "", "nothing can reach it"),
        ('phrases = ["go"]', 'phrases = ["go"]\nmentions = ["x"]', '6: intents.go.mentions: no slot "x"'),
        ('type = "text"', 'type = "texts"', "9: slots.day.type: must be"),
        ('type = "text"', 'type = "choice"', "8: slots.day: choices belong to type choice"),
        ('type = "text"', 'type = "items"\nmenu = "food"', '10: slots.day.menu: no menu "food"'),
        ('ask = "day"', 'ask = "days"', '13: flows.trip.steps.0.ask: no slot "days" (did you mean "day"?)'),
        ('ask = "day"', 'ask = "day"\ncall = "x"', "12: flows.trip.steps.0: give exactly one of"),
        ('ask = "day"', 'ask = "day"\nwhen = { dya = "" }', '14: flows.trip.steps.0.when: no slot or result "dya"'),
        ('ask = "day"', 'ask = "day"\n[[flows.lost.steps]]\nsay = "x"', "flows.lost: no intent or step starts this flow"),
        ('ask = "day"', 'ask = "day"\n[intents.also]\nphrases = ["Go"]\nsay = "x"', 'intents.also: "Go" already means "go"'),
        ('ask = "day"', "ask = day", "13: Invalid value"),
    ],
)  # fmt: skip
def test_faults_are_named_with_their_line(old: str, new: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_script(GOOD.replace(old, new), "a.toml")
    assert problem in str(caught.value)
    assert str(caught.value).startswith("a.toml:")


def test_all_faults_are_reported_at_once() -> None:
    text = GOOD.replace('flow = "trip"', 'flow = "a"').replace('ask = "day"', 'ask = "b"')
    with pytest.raises(ConfigError) as caught:
        parse_script(text, "a.toml")
    assert len(caught.value.problems) == 3  # the flow is not started any more, either


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_script(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_script(tmp_path / "binary.toml")
