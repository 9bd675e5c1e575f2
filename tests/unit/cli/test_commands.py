"""The command line: what it prints and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from gateway.__main__ import main
from gateway.setup.loader import load_config

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "gateway.example.toml"
AGENT = '[agents.a]\nllm = { provider = "openai", model = "m" }\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder and the environment that the example asks for."""
    monkeypatch.chdir(tmp_path)
    for name in ("DESK_PHONE_PASSWORD", "GATEWAY_API_KEY", "SIP_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    return tmp_path


def write(folder, text, name="gateway.toml"):
    (folder / name).write_text(text, encoding="utf-8")


def test_check_accepts_the_example(here, capsys):
    assert main(["check", "--config", str(EXAMPLE)]) == 0
    assert capsys.readouterr().out == "OK: 2 agents, 1 trunk, 6 extensions, 1 router\n"


def test_check_warns_of_what_may_not_be_meant(here, capsys):
    text = '[outgoing]\nallow = ["+49*", "sip:*@c.example", "sip:*@127.0.0.1:*"]\n'
    Path("gateway.toml").write_text(text + '[[trunks]]\nname = "c"\nserver = "c.example"\n')
    assert main(["check"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("OK: ")
    assert shown.err == (
        'warning: gateway.toml:2: outgoing.allow.1: opens names at the server of trunk "c",'
        ' but no numbers there: name those with patterns such as "+49*"\n'
    )


def test_check_warns_of_a_renamed_key_and_the_old_one_counts(here, capsys):
    old = "[sip.strangers]\ncalls = 7\n[edge]\nstrangers_requests_per_s = 50\n"
    Path("gateway.toml").write_text(old, encoding="utf-8")
    assert main(["check"]) == 0
    assert capsys.readouterr().err == (
        "warning: gateway.toml:1: sip.strangers: is called sip.untrusted now;"
        " the old name is accepted until the next release\n"
        "warning: gateway.toml:4: edge.strangers_requests_per_s: is called"
        " edge.all_untrusted_requests_per_s now; the old name is accepted until the next release\n"
    )
    config = load_config(Path("gateway.toml"))
    assert (config.sip.untrusted.calls, config.edge.all_untrusted_requests_per_s) == (7, 50)


def test_a_fault_under_an_old_name_is_shown_where_it_is_written(here, capsys):
    Path("gateway.toml").write_text("[sip]\n[sip.strangers]\ncalls = -1\n", encoding="utf-8")
    assert main(["check"]) == 78
    assert capsys.readouterr().err.startswith("gateway.toml:3: sip.strangers.calls: ")


def test_old_and_new_name_together_are_a_fault(here, capsys):
    text = "[sip.strangers]\ncalls = 1\n[sip.untrusted]\ncalls = 2\n"
    Path("gateway.toml").write_text(text, encoding="utf-8")
    assert main(["check"]) == 78
    assert "gateway.toml:1: sip.strangers: unknown key" in capsys.readouterr().err


def test_check_accepts_the_defaults(here, capsys):
    assert main(["check"]) == 0
    assert capsys.readouterr().out == (
        "OK: 1 agent, 0 trunks, 0 extensions"
        " (built-in configuration: there is no gateway.toml here)\n"
    )


def test_the_example_names_every_missing_variable(here, capsys, monkeypatch):
    monkeypatch.delenv("SIP_PASSWORD")
    monkeypatch.delenv("GATEWAY_API_KEY")
    assert main(["check", "--config", str(EXAMPLE)]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.partition("example.toml:")[2].partition(":")[2] for line in err.splitlines()] == [
        " http.api_keys.0: environment variable GATEWAY_API_KEY is not set: export it before the"
        " gateway starts, or write ${GATEWAY_API_KEY:-} where it may be empty",
        " trunks.0.password: environment variable SIP_PASSWORD is not set: export it before the"
        " gateway starts, or write ${SIP_PASSWORD:-} where it may be empty",
    ]


def test_check_names_faults_of_config_in_the_working_folder(here, capsys):
    write(here, AGENT + "[sip]\nprt = 1\n")
    assert main(["check"]) == 78
    assert capsys.readouterr().err == (
        'gateway.toml:4: sip.prt: unknown key (did you mean "port"?)\n'
    )


def test_check_goes_through_dialplan_tools_script_and_engines(here, capsys):
    (here / "plans").mkdir()
    write(here / "plans", '[contexts.default]\ninclude = ["x"]\n', "a.toml")
    write(here, "def f(x):\n    pass\n", "tools.py")
    write(here, "", "empty.toml")
    write(
        here,
        '[agents.a]\nllm = { provider = "script", file = "empty.toml" }\n'
        'tools = ["tools.py:f", "tools.py:g"]\n'
        '[agents.b]\nllm = { provider = "script", file = "none.toml" }\n'
        '[dialplan]\ndirectory = "plans"\n',
    )
    assert main(["check"]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == 'plans/a.toml:2: contexts.default.include.0: no context "x"; known: default'
    assert lines[1].startswith("gateway.toml:3: agents.a.tools.0: ")
    assert lines[2].startswith("gateway.toml:3: agents.a.tools.1: ")
    assert lines[3].startswith(f"{here}/empty.toml")
    assert lines[-1] == (
        f"gateway.toml:5: agents.b.llm.file: no such file or folder: {here}/none.toml"
    )


@pytest.mark.parametrize("command", [["check"], ["call", "sip:x@y"], ["route-test"]])
def test_every_command_tells_a_missing_file(here, capsys, command):
    more = ["--to", "1", "--from", "2"] if command == ["route-test"] else []
    assert main([*command, *more, "--config", "none.toml"]) == 78
    assert capsys.readouterr().err == "none.toml: no such file\n"


def test_route_test_shows_the_winner_and_the_reasons(here, capsys):
    args = ["route-test", "--config", str(EXAMPLE), "--to", "5510", "--from", "5551234"]
    assert main(args) == 0
    lines = [line.partition("  [")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        'call to "5510" from "5551234" over no trunk',
        'enters context "default"',
        '  does not fit  default/menu                 called "5510" is not "5500" or "+495500"',
        '  does not fit  default/anonymous-at-night   caller "5551234" is not ""',
        '  wins          default/orders               called starts with "551"',
        "  loses         default/front-desk           default/orders is more specific"
        ' (called starts with "551")',
        "  does not fit  default/ask-extension        it is reached by a jump only",
        '  does not fit  internal/echo-of-the-number  called "5510" is not "100"',
        'route: default/orders (called starts with "551")',
        "  1. Answer",
        "  2. Talk agent='front-desk'",
    ]


def test_route_test_takes_trunk_and_headers(here, capsys):
    args = ["route-test", "--config", str(EXAMPLE), "--to", "5599", "--from", "anonymous"]
    assert main([*args, "--trunk", "carrier", "--header", "x-office=closed"]) == 0
    assert "route: default/anonymous-at-night" in capsys.readouterr().out
    assert main([*args, "--trunk", "carrier"]) == 0
    assert "route: default/front-desk" in capsys.readouterr().out


def test_route_test_shows_where_a_trunks_numbers_come_from(here, capsys):
    args = ["route-test", "--config", str(EXAMPLE), "--to", "alice", "--from", "5551234"]
    assert main([*args, "--trunk", "carrier", "--header", "to=<sip:5510@x>"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        'called number: "5510" by To (trunk "carrier": called_from = auto, Request-URI;'
        ' P-Called-Party-ID, then To, where that names the account "alice")'
    )
    assert lines[1:3] == [
        'caller number: "5551234" (caller_from = from)',
        'call to "5510" from "5551234" over trunk "carrier"',
    ]


def test_route_test_without_configuration(here, capsys):
    assert main(["route-test", "--to", "1", "--from", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "route: there are no rules: default agent",
        "  1. Answer",
        "  2. Talk agent='front-desk'",
    ]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--trunk", "carier"], 'gateway: no trunk "carier" (did you mean "carrier"?)\n'),
        (["--header", "X"], 'gateway: --header must be NAME=VALUE, not "X"\n'),
    ],
)
def test_route_test_complains(here, capsys, args, complaint):
    base = ["route-test", "--config", str(EXAMPLE), "--to", "1", "--from", "2"]
    assert main([*base, *args]) == 1
    assert capsys.readouterr().err == complaint


def test_providers_are_listed_by_kind(here, capsys):
    assert main(["providers"]) == 0
    out = capsys.readouterr().out
    for kind, name in (("stt", "moonshine"), ("tts", "flite"), ("vad", "webrtcvad")):
        _, _, after = out.partition(f"{kind} (")
        assert f"\n  {name} " in after


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"gateway {__version__}\n"


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ([], "required"),
        (["fly"], "invalid choice"),
        (["demo", "--port", "70000"], "must be 0 to 65535, not 70000"),
        (["call"], "required"),
    ],
)
def test_wrong_usage(capsys, args, complaint):
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_help_does_not_show_the_internal_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert "worker" not in out
    assert "route-test" in out


def test_a_process_ends_without_tearing_the_interpreter_down() -> None:
    """A native thread that calls into an interpreter that ends aborts the process."""
    ends = (
        "import atexit, os, sys; atexit.register(os.abort); sys.argv = ['gateway', *sys.argv[1:]]; "
    )
    code = ends + "from gateway.__main__ import run_process; run_process()"
    done = subprocess.run(
        [sys.executable, "-c", code, "route-test", "--to", "100", "--from", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "100" in done.stdout
