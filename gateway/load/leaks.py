"""Has anything grown between two looks at a gateway without calls?  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gateway.load.model import Leak

Rest = Mapping[str, Mapping[str, float]]
"""Process -> figure -> value, while no call and no SIP dialog is left."""
MEMORY = "rss_bytes"
COUNTED = ("threads", "open_sockets", "open_files", "asyncio_tasks", "sip_dialogs")
MEMORY_SHARE, MEMORY_BYTES = 0.03, 2_000_000
"""Memory may be larger by 3 % and 2 MB: allocators do not give every page back."""


def leaks_between(before: Rest, after: Rest) -> list[Leak]:
    """Compare every figure that both looks have; a process that is gone is a growth by itself."""
    found = []
    for process, figures in before.items():
        now = after.get(process)
        if now is None:
            found.append(Leak(process=process, name="process", before=1, after=0, is_growth=True))
            continue
        for name in (MEMORY, *COUNTED):
            if name in figures and name in now:
                old, new = figures[name], now[name]
                grown = new > old * (1 + MEMORY_SHARE) + MEMORY_BYTES
                is_growth = grown if name == MEMORY else new > old
                found.append(
                    Leak(process=process, name=name, before=old, after=new, is_growth=is_growth)
                )
    return found


def slope_per_hour(samples: Sequence[tuple[float, float]]) -> float | None:
    """Fit a line through (seconds, value); None for less than ten samples."""
    if len(samples) < 10:
        return None
    at, values = np.array(samples).T
    return float(np.polyfit(at - at[0], values, 1)[0] * 3600)
