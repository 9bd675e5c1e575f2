"""A clock that is ahead deletes nothing, one that is right does; by the front door."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.archive import make_call
from tests.support.false_clock import false_clock, needs_false_clock
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import normal_call

_RETENTION_LOOKED_S = 9.0
"""It looks five seconds after the start; then nothing may be gone."""

pytestmark = pytest.mark.timeout(300)


def _config(grace_h: float) -> dict[str, object]:
    return {
        "log": {"format": "json", "level": "info"},
        "agents": {"desk": {"greeting": "Good morning."}},
        "records": {"directory": "calls", "keep_days": 30, "deletion_grace_h": grace_h},
    }


@needs_false_clock
def test_a_clock_that_is_ahead_deletes_nothing_and_tells(tmp_path: Path) -> None:
    folder, offset = tmp_path / "gateway", tmp_path / "offset"
    old = make_call(folder / "calls", age=timedelta(days=40))
    fresh = make_call(folder / "calls", age=timedelta(hours=1))

    def is_there(call_id: str) -> bool:
        return any((folder / "calls").glob(f"*/{call_id}/call.json"))

    with live_gateway(folder, _config(0)) as gateway:
        asyncio.run(normal_call(gateway.uri()))
        asyncio.run(eventually(lambda: not is_there(old), 20, "the old call to go"))
        assert is_there(fresh)
        assert gateway.gauge("clocks_disagree", "supervisor") == 0

    offset.write_text("+400d")

    def keeps_all(gateway: LiveGateway) -> None:
        seen_s = time.monotonic()
        told = asyncio.run(eventually(lambda: gateway.logged("clocks_disagree"), 20, "an alert"))
        assert "400.0" in told[0]["problem"]
        assert told[0]["level"] == "error"
        assert gateway.gauge("clocks_disagree", "supervisor") == 1
        time.sleep(max(0.0, seen_s + _RETENTION_LOOKED_S - time.monotonic()))
        assert len(gateway.records()) == 2
        assert is_there(fresh)

    with live_gateway(folder, _config(0), false_clock(offset)) as gateway:
        keeps_all(gateway)
        assert gateway.ask("GET", f"/v1/calls/{fresh}").status_code == 200
    with live_gateway(folder, _config(0)) as gateway:  # set right again: the same question
        told = asyncio.run(eventually(lambda: len(gateway.logged("clocks_disagree")) > 1, 20, ""))
        assert told
        assert len(gateway.records()) == 2


def test_what_is_too_old_is_marked_for_a_day_first(tmp_path: Path) -> None:
    """Days that were mistyped, and a first start, delete nothing at once."""
    folder = tmp_path / "gateway"
    for age in (timedelta(days=40), timedelta(hours=1)):
        make_call(folder / "calls", age=age)
    marks = folder / "calls" / ".marks.json"
    with live_gateway(folder, _config(24)) as gateway:
        asyncio.run(eventually(marks.exists, 20, "a mark"))
        assert len(gateway.records()) == 2
