"""Every judgement of `gateway doctor`, from facts alone: what is found, and that a fix is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config.engine_table import EngineTable
from gateway.config.models import (
    AgentConfig,
    GatewayConfig,
    HttpConfig,
    SipConfig,
    TrunkConfig,
)
from gateway.config.secrets import secrets_of
from gateway.doctor.addresses import AddressFacts, Peer, is_public, judge_addresses
from gateway.doctor.engines import Engine, Trial, distinct_engines, judge_error, judge_trial
from gateway.doctor.exposure import ExposureFacts, judge_exposure
from gateway.doctor.finding import Finding, fail, without_secrets
from gateway.doctor.machine import (
    MachineFacts,
    judge_files,
    judge_machine,
    parse_file_limit,
    steal_between,
)
from gateway.doctor.models import judge_missing
from gateway.doctor.network import PortUse, Socket, parse_fib_trie, parse_sockets
from gateway.doctor.ports import RtpFacts, judge_assignments, judge_port, judge_rtp, parse_ranges
from gateway.doctor.storage import StorageFacts, judge_storage
from gateway.doctor.trunks import (
    Answer,
    judge_bindings,
    judge_codecs,
    judge_options,
    judge_registration,
    judge_state,
)
from gateway.errors import (
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.probe import sdp
from gateway.probe.sip_messages import Message

TRUNK = TrunkConfig(
    name="carrier", server="sip.example.net", user="alice", password=SecretStr("pw")
)


def levels(findings) -> dict[str, list[str]]:
    """Name -> its levels; and no trouble comes without a way out."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        assert finding.cause
        assert finding.level not in {"warn", "fail"} or finding.fix, finding
        found.setdefault(finding.name, []).append(finding.level)
    return found


def only(findings) -> Finding:
    found = list(findings)
    assert len(found) == 1, found
    levels(found)
    return found[0]


# --- ports ---


@pytest.mark.parametrize(
    ("state", "is_running", "level", "words"),
    [
        ("free", False, "ok", "free"),
        ("used", False, "fail", "taken by asterisk (process 7)"),
        ("used", True, "ok", "in use by asterisk (process 7)"),
        ("free", True, "fail", "nothing listens"),
        ("forbidden", False, "fail", "may not be bound"),
        ("not_here", False, "fail", "no address of this machine"),
    ],
)
def test_ports(state, is_running, level, words):
    owner = "asterisk (process 7)" if state == "used" else ""
    use = PortUse("udp", "127.0.0.1", 5060, state, owner)
    finding = only([judge_port("sip port", use, is_running=is_running)])
    assert finding.level == level
    assert words in finding.cause


def test_a_port_of_a_stranger_says_how_to_find_it():
    use = PortUse("tcp", "127.0.0.1", 8080, "used")
    finding = judge_port("http port", use, is_running=False)
    assert "ss -lnptu" in finding.cause
    assert "http.port" in finding.fix


@pytest.mark.parametrize(
    ("used", "is_running", "level"),
    [(0, False, "ok"), (1, False, "fail"), (2, True, "ok"), (4, True, "ok"), (1, True, "fail")],
)
def test_ports_of_workers_behind_an_edge(used, is_running, level):
    uses = [PortUse("udp", "0.0.0.0", 5061 + n, "used" if n < used else "free") for n in range(4)]
    assert only([judge_assignments(uses, 2, is_running=is_running)]).level == level


RTP = RtpFacts(20000, 20999, slots=4, ephemeral=(32768, 60999))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (RTP, ["ok"]),
        (replace(RTP, slots=251), ["fail"]),
        (replace(RTP, slots=250), ["ok"]),
        (replace(RTP, low=32000, high=33999), ["ok", "warn"]),
        (replace(RTP, low=32000, high=33999, reserved=((32000, 40000),)), ["ok"]),
        (replace(RTP, low=32000, high=33999, reserved=((33000, 40000),)), ["ok", "warn"]),
        (replace(RTP, taken=(20010,), owners=("baresip (process 3)",)), ["ok", "warn"]),
    ],
)
def test_rtp_range(facts, expected):
    assert levels(judge_rtp(facts, is_running=False)) == {"rtp range": expected}


def test_a_running_gateway_has_its_own_rtp_ports():
    facts = replace(RTP, taken=(20000, 20001))
    assert levels(judge_rtp(facts, is_running=True)) == {"rtp range": ["ok"]}


def test_reserved_ranges():
    assert parse_ranges("20000-20999,5060\n") == ((20000, 20999), (5060, 5060))
    assert parse_ranges("\n") == ()


def test_sockets_of_proc():
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000  0 0 4711 2\n"
        "   1: 00000000:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  0 0 4712 2\n"
        "   2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4713 2\n"
    )
    assert parse_sockets(text, "udp")[0] == Socket("127.0.0.1", 5060, 4711)
    assert parse_sockets(text, "tcp") == [Socket("0.0.0.0", 8080, 4713)]


def test_local_addresses_of_proc():
    text = (
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.1.2.3\n        /32 host LOCAL\n"
        "     |-- 10.1.2.255\n        /32 link BROADCAST\n"
        "     |-- 127.0.0.1\n        /32 host LOCAL\n"
    )
    assert parse_fib_trie(text) == {"10.1.2.3", "127.0.0.1"}


# --- addresses ---

OUT = AddressFacts(
    "0.0.0.0", local=frozenset({"127.0.0.1", "10.1.2.3"}), default_address="10.1.2.3"
)
CARRIER = Peer("carrier", "sip.example.net", ("203.0.113.9",), "10.1.2.3")
PBX = Peer("pbx", "10.1.2.200", ("10.1.2.200",), "10.1.2.3")


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (AddressFacts("127.0.0.1"), "ok", "this machine only"),
        (OUT, "ok", "10.1.2.3"),
        (replace(OUT, default_address=""), "warn", "no route"),
        (replace(OUT, public_address="gw.invalid"), "fail", "has no IPv4 address"),
        (
            replace(OUT, public_address="gw.example", public_resolved=("198.51.100.4",)),
            "ok",
            "must forward",
        ),
    ],
)
def test_address_in_sdp(facts, level, words):
    finding = only(judge_addresses(facts))
    assert (finding.name, finding.level) == ("address in SDP", level)
    assert words in finding.cause


@pytest.mark.parametrize(
    ("facts", "peer", "level", "words"),
    [
        (OUT, CARRIER, "fail", "which is private"),
        (replace(OUT, bind="127.0.0.1"), CARRIER, "fail", "cannot be reached from there"),
        (replace(OUT, public_address="10.9.9.9", public_resolved=("10.9.9.9",)), CARRIER, "fail",
         "which is private"),
        (replace(OUT, public_address="x", public_resolved=("198.51.100.4",)), CARRIER, "ok", ""),
        (replace(OUT, public_address="x", public_resolved=("198.51.100.4",)), PBX, "warn",
         "your own network"),
        (OUT, PBX, "ok", "10.1.2.200 from 10.1.2.3"),
        (OUT, replace(CARRIER, addresses=()), "fail", "has no IPv4 address"),
        (OUT, replace(CARRIER, own_address=""), "fail", "no route"),
        (AddressFacts("127.0.0.1"), replace(PBX, addresses=("127.0.0.1",)), "ok", "this machine"),
    ],
)  # fmt: skip
def test_way_to_a_trunk(facts, peer, level, words):
    found = [f for f in judge_addresses(replace(facts, peers=(peer,))) if "trunk" in f.name]
    assert only(found).level == level
    assert words in found[0].cause


def test_public_addresses():
    private = ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "127.0.0.1"]
    assert not any(map(is_public, private))
    assert all(map(is_public, ["172.32.0.1", "100.128.0.1", "8.8.8.8", "192.0.2.1"]))


# --- trunks ---


def answered(status=200, reason="OK", codecs=None):
    body = b"" if codecs is None else sdp.build(sdp.offer("203.0.113.9", 4000, codecs))
    return Message((), body, status=status, reason=reason)


def test_a_trunk_that_answers_anything_is_there():
    for status in (200, 404, 405, 503):
        found = levels(judge_options(TRUNK, Answer(answered(status), 20), ("PCMU",)))
        assert found["trunk carrier"] == ["ok"]


def test_a_silent_trunk():
    finding = only(judge_options(TRUNK, Answer(None), ("PCMU",)))
    assert finding.level == "fail"
    assert "firewall" in finding.fix


def test_a_slow_trunk():
    assert levels(judge_options(TRUNK, Answer(answered(), 400), ("PCMU",)))["trunk carrier"] == [
        "warn"
    ]


def test_codecs_in_common():
    offer = answered(codecs=("PCMA",))
    assert judge_codecs(TRUNK, offer, ("PCMU", "PCMA")).level == "ok"
    without = judge_codecs(TRUNK, offer, ("G722",))
    assert without.level == "fail"
    assert "PCMA" in without.cause
    assert judge_codecs(TRUNK, answered(), ("G722",)).level == "skip"
    assert judge_codecs(TRUNK, Message((), b"rubbish", status=200), ("G722",)).level == "skip"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "user or password"),
        (403, "user or password"),
        (404, "unknown"),
        (408, "no answer"),
        (423, "interval"),
        (405, "accepts no registrations"),
        (503, "in trouble"),
        (600, "refused"),
    ],
)
def test_refused_registrations(status, words):
    finding = only([judge_registration(TRUNK, status, "Because")])
    assert finding.level == "fail"
    assert words in finding.cause
    assert f"{status} Because" in finding.cause


def test_bindings():
    assert judge_bindings(TRUNK, answered()).level == "ok"
    assert judge_bindings(TRUNK, None).level == "fail"
    assert "password" in judge_bindings(TRUNK, answered(403, "Forbidden")).cause


@pytest.mark.parametrize(
    ("state", "level"),
    [("registered", "ok"), ("static", "ok"), ("failed", "fail"), ("registering", "warn")],
)
def test_what_a_running_gateway_says_of_its_trunks(state, level):
    finding = only([judge_state(TRUNK, {"state": state, "sip_status": 403, "reason": "No"})])
    assert finding.level == level


# --- engines ---

LLM = Engine("llm", EngineTable(provider="openai"), ("a", "b"))


def test_agents_with_the_same_engine_share_one_trial():
    llm = {"provider": "openai", "model": "m", "api_key": SecretStr("k")}
    agents = {
        "a": AgentConfig(llm=llm),
        "b": AgentConfig(llm=dict(llm)),
        "c": AgentConfig(llm={**llm, "model": "n"}, language="de"),
    }
    found = [(e.kind, e.agents) for e in distinct_engines(GatewayConfig(agents=agents))]
    assert found == [
        ("stt", ("a", "b", "c")),
        ("llm", ("a", "b")),
        ("llm", ("c",)),
        ("tts", ("a", "b", "c")),
    ]


@pytest.mark.parametrize(
    ("trial", "level"),
    [
        (Trial(300), "ok"),
        (Trial(1200), "warn"),
        (Trial(300, is_empty=True), "warn"),
    ],
)
def test_trials(trial, level):
    assert only([judge_trial(LLM, trial)]).level == level


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        (ProviderRejected, 401, "api_key"),
        (ProviderRejected, 404, "check model"),
        (ProviderUnavailable, 429, "quota"),
        (ProviderUnavailable, None, "base_url"),
        (ProviderTimeout, None, "overloaded"),
        (ProviderProtocolError, None, "OpenAI-compatible"),
        (ProviderRejected, 400, "llm table"),
    ],
)
def test_failing_engines(kind, status, words):
    error = kind("openai", "it says no")
    error.__cause__ = Exception()
    error.__cause__.status_code = status
    finding = only([judge_error(LLM, error)])
    assert finding.level == "fail"
    assert words in finding.fix


def test_a_missing_library_is_named_with_its_command():
    hint = "libflite is not installed: apt-get install libflite1"
    finding = only([judge_missing("tts flite", hint, is_needed=True)])
    assert (finding.level, finding.fix) == ("fail", "apt-get install libflite1")
    assert judge_missing("x", hint, is_needed=False).level == "warn"
    assert judge_missing("x", "", is_needed=True).level == "ok"
    assert judge_missing("x", "broken in another way", is_needed=True).fix == "gateway providers"


# --- machine ---

MACHINE = MachineFacts(4, 4, 1, recognizers=1, late_ms=(0.1,) * 50)


@pytest.mark.parametrize(
    ("facts", "name", "level"),
    [
        (MACHINE, "cores", "ok"),
        (replace(MACHINE, slots=80), "cores", "warn"),
        (replace(MACHINE, slots=80, recognizers=0), "cores", "ok"),
        (MACHINE, "timers", "ok"),
        (replace(MACHINE, late_ms=(0.1,) * 40 + (8.0,) * 10), "timers", "warn"),
        (replace(MACHINE, late_ms=(0.1,) * 40 + (60.0,) * 10), "timers", "fail"),
        (replace(MACHINE, steal=0.2), "CPU of the host", "warn"),
        (replace(MACHINE, throttled=9), "CPU quota", "warn"),
        (replace(MACHINE, governors=frozenset({"powersave"})), "CPU frequency", "warn"),
        (replace(MACHINE, available_mb=400), "memory", "fail"),
        (replace(MACHINE, available_mb=400, is_running=True), "memory", "ok"),
        (replace(MACHINE, is_clock_synchronized=False), "clock", "warn"),
        (replace(MACHINE, is_clock_synchronized=True), "clock", "ok"),
    ],
)
def test_machine(facts, name, level):
    assert levels(judge_machine(facts))[name] == [level]


def test_a_machine_in_order_has_no_more_to_say():
    assert set(levels(judge_machine(MACHINE))) == {"cores", "timers", "memory", "clock"}


@pytest.mark.parametrize(("limit", "level"), [(100, "fail"), (200, "warn"), (4096, "ok")])
def test_file_descriptors(limit, level):
    assert only([judge_files(limit, 4)]).level == level


def test_limits_of_proc():
    text = "Limit   Soft Limit  Hard Limit  Units\nMax open files   {}   524288   files\n"
    assert parse_file_limit(text.format(1024)) == 1024
    assert parse_file_limit(text.format("unlimited")) > 100_000


def test_steal():
    assert steal_between([0] * 10, [10, 0, 10, 60, 0, 0, 0, 20, 0, 0]) == pytest.approx(0.2)
    assert steal_between([0] * 10, [0] * 10) == 0


# --- storage ---

STORAGE = StorageFacts(Path("calls"), "", 5.0, 10**12, 10**6)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (STORAGE, {"records directory": ["ok"], "disk space": ["ok"]}),
        (replace(STORAGE, error="Read-only file system"), {"records directory": ["fail"]}),
        (replace(STORAGE, write_ms=900), {"records directory": ["warn"], "disk space": ["ok"]}),
        (replace(STORAGE, free_bytes=10**8), {"records directory": ["ok"], "disk space": ["fail"]}),
        (replace(STORAGE, free_files=3), {"records directory": ["ok"], "disk space": ["fail"]}),
        (
            replace(STORAGE, free_bytes=4 * 10**9),
            {"records directory": ["ok"], "disk space": ["warn"]},
        ),
        (
            replace(STORAGE, free_bytes=4 * 10**9, keeps_audio=False),
            {"records directory": ["ok"], "disk space": ["ok"]},
        ),
    ],
)
def test_storage(facts, expected):
    assert levels(judge_storage(facts)) == expected


# --- exposure ---

KEY = SecretStr("k" * 32)
OPEN_HTTP = HttpConfig(bind="0.0.0.0", api_keys=(KEY,))


def exposure(config, **facts):
    return levels(judge_exposure(ExposureFacts(config, **facts)))


def test_nothing_is_exposed_by_default():
    assert exposure(GatewayConfig()) == {"HTTP API": ["ok"], "permitted callers": ["ok"]}


def test_an_api_for_others():
    assert exposure(GatewayConfig(http=HttpConfig(bind="0.0.0.0")))["HTTP API"] == ["fail"]
    keyed = GatewayConfig(http=OPEN_HTTP)
    assert exposure(keyed, unkeyed_status=401)["HTTP API"] == ["warn"]
    assert exposure(keyed, unkeyed_status=200)["HTTP API"] == ["fail"]
    short = GatewayConfig(http=HttpConfig(bind="0.0.0.0", api_keys=(SecretStr("abc"),)))
    assert exposure(short)["API keys"] == ["warn"]


@pytest.mark.parametrize(
    ("sip", "level"),
    [
        ({"allow_sources": ("0.0.0.0/0",)}, "warn"),
        ({"allow_sources": ("192.168.0.0/16",)}, "ok"),
        ({"users": {"desk": SecretStr("1234")}}, "warn"),
        ({"users": {"desk": SecretStr("long-enough-for-this")}}, "ok"),
    ],
)
def test_callers(sip, level):
    config = GatewayConfig(sip=SipConfig(bind="0.0.0.0", **sip))
    assert exposure(config)["permitted callers"] == [level]


def test_a_readable_file_with_secrets(tmp_path):
    config = GatewayConfig(trunks=(TRUNK,))
    path = tmp_path / "gateway.toml"
    literal = {"config_path": path, "config_text": 'password = "pw"', "config_mode": 0o644}
    assert exposure(config, **literal)["configuration file"] == ["warn"]
    assert exposure(config, **{**literal, "config_mode": 0o600})["configuration file"] == ["ok"]
    by_name = {**literal, "config_text": 'password = "${SIP_PASSWORD}"'}
    assert exposure(config, **by_name)["configuration file"] == ["ok"]


def test_root():
    assert exposure(GatewayConfig(), is_root=True)["user"] == ["warn"]


# --- secrets ---


def test_no_secret_passes():
    llm = {"provider": "x", "api_key": SecretStr("sk-1"), "headers": {"X-Auth": "tok-2"}}
    config = GatewayConfig(
        sip=SipConfig(users={"desk": SecretStr("desk-3")}),
        http=HttpConfig(api_keys=(SecretStr("sk-1-and-more"),)),
        trunks=(TRUNK.model_copy(update={"password": SecretStr("pass-4")}),),
        agents={"a": AgentConfig(llm=llm)},
    )
    secrets = tuple(secrets_of(config))
    said = fail("x", "server says sk-1-and-more, tok-2", "not desk-3 but pass-4 and sk-1")
    clean = without_secrets(said, secrets)
    assert clean.cause == "server says ***, ***"
    assert clean.fix == "not *** but *** and ***"
