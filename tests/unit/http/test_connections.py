"""Which connection goes when there are too many: never one with a request, never the newcomer."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.connections import Connections


class Wire:
    """A connection that only remembers why it was closed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def drop(self, reason: str) -> None:
        raise AssertionError(reason)


def fill(table: Connections, source: str, count: int) -> list[Wire]:
    wires = [Wire(f"{source}{n}") for n in range(count)]
    for wire in wires:
        assert table.add(wire, source) is None
    return wires


def test_the_longest_waiting_of_the_same_source_goes() -> None:
    table = Connections(10, 4)
    wires = fill(table, "a", 4)
    table.has_request(wires[0])
    assert table.add(Wire("more"), "a") is wires[1]
    table.remove(wires[1])
    table.waits(wires[0])  # answered: now it is the one that began to wait last
    assert table.add(Wire("more"), "a") is wires[2]


def test_who_has_most_gives_room_to_the_others() -> None:
    table = Connections(10, 10)
    crowd = fill(table, "crowd", 9)
    fill(table, "a", 1)
    assert table.add(Wire("b"), "b") is crowd[0]


def test_when_all_have_requests_the_newcomer_goes() -> None:
    table = Connections(4, 4)
    for wire in fill(table, "a", 4):
        table.has_request(wire)
    newcomer = Wire("new")
    assert table.add(newcomer, "a") is newcomer


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "ask", "wait", "end"])),
        max_size=200,
    )
)
def test_there_are_never_more_than_allowed(steps: list[tuple[str, str]]) -> None:
    table, held = Connections(6, 4), {}
    for number, (source, what) in enumerate(steps):
        of_source = [wire for wire, (whose, _) in held.items() if whose == source]
        if what == "add":
            wire = Wire(str(number))
            held[wire] = (source, True)
            victim = table.add(wire, source)
            if victim is not None:
                assert held[victim][1], "one with a request was closed"
                table.remove(victim)
                del held[victim]
        elif of_source:
            wire = of_source[0]
            {"ask": table.has_request, "wait": table.waits, "end": table.remove}[what](wire)
            if what == "end":
                del held[wire]
            else:
                held[wire] = (source, what == "wait")
        assert len(table) == len(held) <= 6
        assert all(sum(s == source for s, _ in held.values()) <= 4 for source in "abc")
