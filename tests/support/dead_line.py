"""For how long a scene's line was dead."""

from __future__ import annotations

from gateway.audio.level import peak
from tests.support.fake_line import TICK_S
from tests.support.scene import Scene


def longest_dead_s(scene: Scene) -> float:
    """Nothing of the bot, nothing of the caller, and no hold (`scene.held`: frames, in pairs)."""
    longest = dead = 0
    for number, frame in enumerate(scene.line.played):
        is_held = any(start <= number <= (end or number) for start, end in scene.held)
        is_dead = not peak(frame) and not scene.line.received_anything(number) and not is_held
        dead = dead + 1 if is_dead else 0
        longest = max(longest, dead)
    return longest * TICK_S
