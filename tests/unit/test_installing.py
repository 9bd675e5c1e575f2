"""A command that is printed to install something must reach the environment that lacks it."""

from __future__ import annotations

import sys

import pytest

from gateway.installing import pip_install


@pytest.mark.parametrize(
    ("folder", "is_venv", "command"),
    [
        (".venv", True, ".venv/bin/pip install vosk"),
        ("../elsewhere", True, "{top}/elsewhere/bin/pip install vosk"),
        (".venv", False, "pip install vosk"),
        ("without", True, "pip install vosk"),
    ],
)
def test_it_names_the_pip_of_this_environment(tmp_path, monkeypatch, folder, is_venv, command):
    here = tmp_path / "here"
    here.mkdir()
    prefix = (here / folder).resolve()
    (prefix / "bin").mkdir(parents=True)
    if folder != "without":
        (prefix / "bin" / "pip").touch()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "base_prefix", "/usr" if is_venv else str(prefix))
    assert pip_install("vosk") == command.format(top=tmp_path)
