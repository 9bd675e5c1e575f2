"""What the probe says is rendered before the call, each line once."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway.probe import voices
from gateway.probe.performance import render_lines
from gateway.probe.scenario import Say, Scenario, WaitForBot


def test_a_line_that_is_said_again_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[tuple[str, str]] = []

    async def render(text: str, voice: str) -> np.ndarray:
        rendered.append((text, voice))
        return np.zeros(160, np.int16)

    monkeypatch.setattr(voices, "render", render)
    steps = (Say(text="Yes."), WaitForBot(), Say(text="No."), Say(text="Yes.", voice="slt")) * 50
    speech = asyncio.run(render_lines(Scenario(voice="awb", steps=steps)))
    assert rendered == [("Yes.", "awb"), ("No.", "awb"), ("Yes.", "slt")]
    assert all(step in speech for step in steps if isinstance(step, Say))
