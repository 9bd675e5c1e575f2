"""What is heard behind the caller."""

from __future__ import annotations

import numpy as np

from gateway.probe.media import _looped, _sum


def test_a_background_goes_on_from_its_start() -> None:
    frames = _looped(np.arange(200, dtype=np.int16), 160)
    first, second = next(frames), next(frames)
    assert first.tolist() == list(range(160))
    assert second.tolist() == [*range(160, 200), *range(120)]


def test_two_sounds_clip_and_do_not_wrap() -> None:
    loud = np.full(4, 30000, np.int16)
    assert _sum(loud, loud).tolist() == [32767] * 4
    assert _sum(-loud, -loud.astype(np.float64)).tolist() == [-32768] * 4
