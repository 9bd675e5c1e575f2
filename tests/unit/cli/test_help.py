"""`gateway --help` and the help of each command: what it is for, in words, with units."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from gateway.__main__ import _parser


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield each command that operators call, with those below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            listed = {choice.dest for choice in action._choices_actions}
            for name in listed:
                yield action.choices[name]
                yield from commands(action.choices[name])


def options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    for action in parser._actions:
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):
            yield f"{parser.prog} {action.dest}", action


ALL = sorted(commands(_parser()), key=lambda one: one.prog)
OPTIONS = dict(entry for parser in ALL for entry in options(parser))


def test_the_internal_command_is_not_listed() -> None:
    assert {"gateway run", "gateway records fetch"} <= {parser.prog for parser in ALL}
    assert "gateway worker" not in {parser.prog for parser in ALL}


@pytest.mark.parametrize("parser", ALL, ids=lambda parser: parser.prog)
def test_each_command_says_what_it_is_for(parser: argparse.ArgumentParser) -> None:
    assert re.fullmatch(r"[A-Z].{9,}\.", parser.description or "")


@pytest.mark.parametrize("name", [name for name, one in OPTIONS.items() if one.dest != "version"])
def test_each_option_says_what_it_does(name: str) -> None:
    action = OPTIONS[name]
    if isinstance(action, argparse._SubParsersAction):
        return
    assert len(action.help or "") > 6
    if isinstance(action.default, int | float) and action.default > 1:  # no switch, no "all"
        assert f"default: {action.default:g}" in (action.help or "")
