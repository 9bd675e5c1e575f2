"""Which tests run where and when in a run with several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

LONGEST = {
    "test_wire_truth.py": 220,
    "test_sipp_scenarios.py": 180,
    "test_admission_contract.py": 140,
    "test_load.py": 130,
    "test_records_under_faults.py": 120,
    "test_tts.py": 100,
    "test_fleet.py": 100,
    "test_menus_and_keys.py": 80,
    "test_edge_hosts.py": 70,
    "test_llm_call.py": 70,
    "test_demo.py": 60,
    "test_wrong_clock.py": 60,
    "test_hostile_challenges.py": 55,
    "test_fuzz.py": 55,
    "test_bad_input.py": 50,
    "test_replay.py": 50,
    "test_edge_by_operator.py": 45,
    "test_engines.py": 45,
    "test_clock_jumps.py": 45,
    "test_odd_calls.py": 45,
    "test_rtp_source.py": 35,
    "test_reload.py": 30,
    "test_not_recorded.py": 30,
}
"""Seconds of the files that take half a minute or more, as last measured.

It is of no harm when they are wrong by a factor of two: the order is all that comes from them.
"""
BUSY = {"test_load.py", "test_fuzz.py", "test_floods.py"}
"""Files that keep the machine busy: beside those that compute, not beside calls in real time."""
_KINDS = ("integration", "wire", "contract", "unit")
"""From what mostly waits to what mostly computes: the short ones fill the end."""


class FileByFile(LoadFileScheduling):
    """One worker runs a file, in the order of the files.

    A test in which a worker ended is not run again: pytest-xdist would start it in the next one,
    end that too, and give up the run after some of them.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def remove_node(self, node: WorkerController) -> str | None:
        """Take the tests back that a worker has not run, all but the one in which it ended."""
        units = self.assigned_work.pop(node)
        left = [(unit, test) for unit in units.values() for test, done in unit.items() if not done]
        if not left:
            return None
        unit, crashed = left[0]
        unit[crashed] = True
        for scope, tests in units.items():
            if not all(tests.values()):
                self.workqueue[scope] = tests
        for other in self.nodes:
            self._reschedule(other)
        return crashed


def longest_first(items: list[pytest.Item]) -> None:
    """Order tests so that files with long ones begin early and none is left alone at the end."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[int, int]:
    name = item.path.name
    kind = "contract" if name in BUSY else next((k for k in _KINDS if k in item.path.parts), "")
    rank = _KINDS.index(kind) if kind else 0
    return rank, -LONGEST.get(name, 0)
