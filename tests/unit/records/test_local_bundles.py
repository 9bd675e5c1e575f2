"""The queues on disk lose nothing, whoever dies when."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.records.local_bundles import FOLDER, PendingCalls

IDS = [f"20261120-10000{n}-0000000a" for n in range(4)]


def waiting(queue: PendingCalls) -> list[str]:
    return [ticket.call_id for ticket in queue.tickets()]


def test_what_is_put_while_it_is_worked_on_waits_again(tmp_path: Path) -> None:
    queue = PendingCalls(tmp_path, "index")
    assert waiting(queue) == []
    queue.put(IDS[0])
    tickets = queue.tickets()
    queue.put(IDS[0])
    for ticket in tickets:
        ticket.done()
        ticket.done()
    assert waiting(queue) == [IDS[0]]
    assert waiting(PendingCalls(tmp_path, "index")) == [IDS[0]]  # as well for the next process
    assert waiting(PendingCalls(tmp_path, "store")) == []


def test_the_oldest_first_once_or_often_and_strange_files_do_no_harm(tmp_path: Path) -> None:
    queue = PendingCalls(tmp_path, "store")
    for call_id in (IDS[2], IDS[0], IDS[2], IDS[1]):
        queue.put(call_id, once=True)
    (tmp_path / FOLDER / "store" / "notes.txt").write_text("mine")
    assert waiting(queue) == IDS[:3]
    queue.put(IDS[1])
    queue.forget(IDS[1])
    assert waiting(queue) == [IDS[0], IDS[2]]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["put", "take", "done", "die"]), max_size=30))
def test_a_change_is_forgotten_only_after_it_was_read(tmp_path_factory, acts: list[str]) -> None:
    """Versions of a call: the database has the last one once nothing waits."""
    folder = tmp_path_factory.mktemp("queue")
    queue, version, known, taken = PendingCalls(folder, "index"), 0, 0, None
    for act in acts:
        if act == "put":
            version += 1
            queue.put(IDS[0])
        elif act == "take":
            taken = (queue.tickets(), version)
        elif act == "done" and taken is not None:
            known = max(known, taken[1])
            for ticket in taken[0]:
                ticket.done()
            taken = None
        elif act == "die":
            queue, taken = PendingCalls(folder, "index"), None
        assert known == version or waiting(queue) or taken is not None
