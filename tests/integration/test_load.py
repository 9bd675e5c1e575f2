"""`gateway load`: a few calls on a gateway of its own, and on one that runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gateway.__main__ import main
from gateway.load.processes import family
from gateway.load.report import LoadReport
from gateway.telemetry.process import is_process_alive
from tests.support.gateway_process import GatewayUnderTest, free_port, running_gateway
from tests.support.processes import running_program
from tests.support.sipp import is_installed

pytestmark = [
    pytest.mark.skipif(not is_installed(), reason="needs SIPp: apt install sip-tester"),
    pytest.mark.timeout(180),
]


def load(out: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], LoadReport]:
    command = [sys.executable, "-m", "gateway", "load", "--out", str(out), "--tries", "1"]
    command += arguments
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    report = out / "report.json"
    assert report.exists(), f"{done.stdout}\n{done.stderr}"
    return done, LoadReport.model_validate_json(report.read_bytes())


def left_over(folder: Path) -> list[str]:
    """Command lines of processes that belong to a test in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_text().replace("\0", " ")
            if str(folder) in f"{line}{(path / 'cwd').readlink()}":
                found.append(line)
        except OSError:
            continue
    return found


def test_a_gateway_of_its_own(tmp_path):
    out = tmp_path / "report"
    done, report = load(
        out, "--ramp", "3", "--hold", "10", "--mix", "talk=1,short-call=1", "--probes", "1"
    )
    (step,) = report.steps
    assert step.failed == 0, done.stdout
    assert step.causes == {}
    assert step.started >= 4, "a talking call, a measuring one, several short ones"
    assert step.done == step.started
    assert step.answer_ms.n == step.started
    assert step.gap_wire_ms.n >= 1
    assert step.gap_gateway_ms.n >= step.gap_wire_ms.n
    # The model's 300 ms are in it, however fast the rest is.
    assert 300 < step.gap_wire_ms.p50 < 5000
    assert step.frame_wire_ms.n > 300
    assert 15 < step.frame_wire_ms.p50 < 25
    assert step.lost_packets == 0
    assert step.frame_gateway_ms.n > step.frame_wire_ms.n, "of all calls"
    assert {"worker", "recognizer", "supervisor"} <= set(step.gateway_cores)
    assert {"sipp"} <= set(step.load_cores)
    assert 0 < step.cpu_percent_per_call < 100
    assert step.memory_mb > 100
    assert (out / "report.txt").read_text().splitlines()[-1] in done.stdout
    ElementTree.parse(out / "report.svg")  # noqa: S314 - our own
    assert left_over(out) == []


def test_a_running_gateway_with_short_calls_and_a_look_for_growth(
    default_gateway: GatewayUnderTest, tmp_path
):
    target = f"sip:service@127.0.0.1:{default_gateway.sip_port}"
    http = f"http://127.0.0.1:{default_gateway.http_port}"
    done, report = load(
        tmp_path,
        *("--target", target, "--http", http, "--mix", "short-call=2,early-cancel=1,options=1"),
        *("--ramp", "3", "--total", "12", "--probes", "0", "--leaks", "--warm", "1"),
    )
    (step,) = report.steps
    assert step.failed == 0, done.stdout
    assert step.started >= 10
    assert step.setup_per_s > 0.2
    assert "worker" in step.gateway_cores, "found by its HTTP port"
    counted = {leak.name for leak in report.leaks if leak.process.startswith("worker")}
    assert {"rss_bytes", "threads", "open_files", "asyncio_tasks", "sip_dialogs"} <= counted
    grown = [leak for leak in report.leaks if leak.is_growth and leak.name != "rss_bytes"]
    assert grown == [], done.stdout
    assert "verdict: " in done.stdout


def test_too_many_calls_are_told_by_cause(default_gateway: GatewayUnderTest, tmp_path):
    target = f"sip:service@127.0.0.1:{default_gateway.sip_port}"
    done, report = load(
        tmp_path, "--target", target, "--mix", "hold-resume", "--ramp", "8", "--rate", "8",
        "--total", "8", "--probes", "0",
    )  # fmt: skip
    (step,) = report.steps
    assert done.returncode == 1
    assert step.failed == 4
    assert sum(step.causes.values()) == 4
    assert any(cause.startswith("503 ") for cause in step.causes), step.causes
    assert step.saturation == ("4 failed",)
    assert report.best is None


GOODBYE = """
[[contexts.default.extensions]]
name = "goodbye"
called = ["service"]
steps = [{ answer = {} }, { say = "Goodbye." }, { hang_up = {} }]
"""


def test_an_agent_that_says_goodbye_has_not_failed(tmp_path):
    (tmp_path / "gateway" / "plans").mkdir(parents=True)
    (tmp_path / "gateway" / "plans" / "goodbye.toml").write_text(GOODBYE)
    with running_gateway(tmp_path / "gateway", '[dialplan]\ndirectory = "plans"') as gateway:
        target = f"sip:service@127.0.0.1:{gateway.sip_port}"
        for http in ([], ["--http", f"http://127.0.0.1:{gateway.http_port}"]):
            done, report = load(
                tmp_path, "--target", target, *http, "--mix", "talk", "--ramp", "2",
                "--hold", "3", "--probes", "1",
            )  # fmt: skip
            (step,) = report.steps
            assert step.failed == 0, done.stdout
            assert step.goodbyes >= 2
            assert step.done == step.started
            assert "ended by the agent itself" in done.stdout


def test_sipp_that_never_ran_is_told(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "gateway", "load", "--out", str(tmp_path)]
    command += ["--target", f"sip:x@127.0.0.1:{port};transport=tcp", "--ramp", "1"]
    command += ["--hold", "1", "--probes", "0", "--tries", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode != 0
    assert "SIPp (" in done.stderr
    assert "made no call at all" in done.stderr or "ended with" in done.stderr


def test_told_to_stop_it_ends_all_that_it_started(default_gateway: GatewayUnderTest, tmp_path):
    out = tmp_path / "report"
    target = f"sip:service@127.0.0.1:{default_gateway.sip_port}"
    command = [sys.executable, "-m", "gateway", "load", "--out", str(out), "--target", target]
    command += ["--ramp", "2", "--probes", "1"]
    with running_program(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("step 1/1"):
                break
        started = [pid for pid in family(process.pid) if pid != process.pid]
        assert len(started) >= 2, "SIPp and the measuring callers"
        os.kill(process.pid, signal.SIGTERM)
        process.stdout.read()
        assert process.wait(60) == 130, process.stderr.read()
        assert process.stderr.read() == ""
    assert [pid for pid in started if is_process_alive(pid)] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--target", "127.0.0.1"], "not a target"),
        (["--ramp", "9"], "--workers 3"),
        (["--mix", "nothing"], "there are barge-in, "),
        (["--rate", "0"], "--rate must be 0.1 to 1000"),
        (["--http", "http://127.0.0.1:1"], "goes with --target"),
        (["--target", "sip:127.0.0.1", "--http", "127.0.0.1:8080"], "must be like http://"),
        (["--target", "sip:127.0.0.1", "--http", "http://127.0.0.1:1"], "All connection"),
        (["--api-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is not set"),
        (["--scenarios", "/nowhere"], "no scenarios in /nowhere"),
    ],
)
def test_wrong_arguments_are_told_at_once(arguments, complaint, tmp_path, capsys):
    assert main(["load", "--out", str(tmp_path), *arguments]) == 1
    assert complaint in capsys.readouterr().err
