"""Which workers the edge knows, and how a running one learns of others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.edge_hosts import read_host
from gateway.config.models import GatewayConfig
from gateway.edge.targets import Target, changes, gone, remote_targets, workers_list


@pytest.mark.parametrize(
    ("entry", "read"),
    [
        ("10.0.0.2", ("10.0.0.2", 5060, 3)),
        ("10.0.0.2*8", ("10.0.0.2", 5060, 8)),
        ("gw2.example:5070*2", ("gw2.example", 5070, 2)),
        ("gw2.example:5070", ("gw2.example", 5070, 3)),
    ],
)
def test_an_entry_of_hosts(entry, read):
    assert read_host(entry, 5060, 3) == read


@pytest.mark.parametrize("entry", ["", "*4", "a*", "a*0", "a*x", "a:", "a:b", "a:70000", "a*-1"])
def test_an_entry_that_cannot_be_read(entry):
    with pytest.raises(ValueError, match="must be like"):
        read_host(entry, 5060, 3)


def test_a_host_has_a_port_for_each_worker_and_for_each_that_follows_it():
    config = GatewayConfig.model_validate(
        {"workers": {"edge": "kamailio"}, "edge": {"hosts": ["10.0.0.2*2"]}}
    )
    found = remote_targets(config, 1)
    assert [t.address for t in found] == [f"10.0.0.2:{port}" for port in (5061, 5062, 5063, 5064)]
    assert {t.use for t in found} == {"unknown"}


def test_the_list():
    text = workers_list([Target("h", 2, 4, "b", "closed"), Target("h", 1, 3, "a")])
    assert text == (
        "1 sip:h:1;transport=udp 8 0 duid=h:1/a;maxload=3\n"
        "1 sip:h:2;transport=udp 4 0 duid=h:2/b;maxload=4\n"
    )


TARGETS = st.lists(
    st.builds(
        Target,
        host=st.just("h"),
        port=st.integers(1, 4),
        slots=st.integers(1, 2),
        life=st.sampled_from("ab"),
        use=st.sampled_from(["open", "closed", "unknown"]),
    ),
    unique_by=lambda t: t.address,
)


@given(TARGETS, TARGETS)
def test_changes_lead_from_one_list_to_the_other_and_touch_nothing_else(old, new):
    known = {t.uri: (t.attributes, t.use) for t in old}
    uses = {8: "open", 4: "closed", 9: "unknown", "ap": "open", "d": "closed", "ip": "unknown"}
    touched = set()
    for command in changes(old, new):
        verb, parameters = command.method.split(".")[1], command.parameters
        if verb == "remove":
            touched.add(parameters[1])
            del known[parameters[1]]
        elif verb == "add":
            touched.add(parameters[1])
            assert parameters[1] not in known
            known[parameters[1]] = (parameters[4], uses[parameters[2]])
        else:
            touched.add(parameters[2])
            known[parameters[2]] = (known[parameters[2]][0], uses[parameters[0]])
    assert known == {t.uri: (t.attributes, t.use) for t in new}
    assert not touched & {t.uri for t in set(old) & set(new)}


@given(TARGETS, TARGETS)
def test_gone_are_those_whose_process_is_no_more(old, new):
    alive = {(t.address, t.life) for t in new}
    assert set(gone(old, new)) == {t.address for t in old if (t.address, t.life) not in alive}


def test_a_worker_that_drains_is_not_gone():
    before, after = Target("h", 1, 4, "7"), Target("h", 1, 4, "7", "closed")
    assert not gone([before], [after])
    assert [c.method for c in changes([before], [after])] == ["dispatcher.set_state"]
