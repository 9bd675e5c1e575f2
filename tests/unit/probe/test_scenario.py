"""Scenario files."""

from __future__ import annotations

import pytest

from gateway.errors import ConfigError
from gateway.probe import scenario

TALK = """
voice = "kal16"
[[steps]]
do = "wait_for_bot"
silence_ms = 500
[[steps]]
do = "say"
text = "Hello"
[[steps]]
do = "play"
file = "line.wav"
[[steps]]
do = "hold"
direction = "inactive"
[[steps]]
do = "expect_hangup"
"""


def test_reads_steps_in_order(tmp_path):
    path = tmp_path / "talk.toml"
    path.write_text(TALK)
    script = scenario.load(path)
    assert script.voice == "kal16"
    assert script.steps == (
        scenario.WaitForBot(silence_ms=500),
        scenario.Say(text="Hello"),
        scenario.Play(file=tmp_path / "line.wav"),
        scenario.Hold(direction="inactive"),
        scenario.ExpectHangup(),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps = [", "talk.toml: "),
        ('[[steps]]\ndo = "say"\ntext = "a"\n[[steps]]\ndo = "sing"', "talk.toml:4: steps.1"),
        ('[[steps]]\ndo = "say"', "talk.toml:1: steps.0.say.text"),
        ('[[steps]]\ndo = "press"\ndigits = "12x"', "talk.toml:1: steps.0.press.digits"),
        ('voice = "bob"\nsteps = []', "voice"),
    ],
)
def test_faults_name_file_and_line(tmp_path, text, told):
    path = tmp_path / "talk.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        scenario.load(path)
    assert told in str(raised.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        scenario.load(tmp_path / "none.toml")
