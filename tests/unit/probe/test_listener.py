"""The live view of the bot's voice."""

from __future__ import annotations

import numpy as np

from gateway.probe.listener import BotListener
from gateway.probe.timeline import Audio

MS = 1_000_000
LOUD = (9000 * np.sin(np.arange(160) / 3)).astype(np.int16)
QUIET = np.zeros(160, np.int16)


def feed(listener: BotListener, pattern: str) -> None:
    for index, kind in enumerate(pattern):
        listener.push(Audio((1 + index * 20) * MS, LOUD if kind == "#" else QUIET))


def test_edges_come_once_per_spurt():
    started: list[int] = []
    stopped: list[int] = []
    listener = BotListener(started.append, stopped.append)
    feed(listener, "..###....###" + "." * 16 + "##" + "." * 3)
    assert [round(ns / MS / 20) for ns in started] == [2, 28]
    assert [ns // MS for ns in stopped] == [11 * 20 + 1 + 19]
    assert listener.spurt_start_ns is not None
    listener.advance(2000 * MS)
    assert listener.spurt_start_ns is None
    assert len(stopped) == 2


def test_questions_about_the_past():
    listener = BotListener(lambda _: None, lambda _: None)
    assert listener.is_quiet_for(0, 700)
    assert not listener.has_spoken_since(0)
    feed(listener, "..#..")
    assert listener.has_spoken_since(20 * MS)
    assert not listener.has_spoken_since(90 * MS)
    assert not listener.is_quiet_for(200 * MS, 700)
    assert listener.is_quiet_for(800 * MS, 700)
