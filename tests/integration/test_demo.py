"""`gateway demo` as a user starts it: a real call between two processes."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "gateway", "demo"]


@pytest.mark.timeout(240)
def test_the_demo_makes_a_call_as_planned(tmp_path: Path) -> None:
    command = [*DEMO, "--record-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    (call_file,) = tmp_path.glob("*/*/call.json")
    call = json.loads(call_file.read_bytes())
    tools = [tool for turn in call["turns"] for tool in turn["tools"]]
    (order,) = [tool for tool in tools if tool["name"] == "place_order"]
    assert {item["item"]: item["options"] for item in json.loads(order["arguments"])["items"]} == {
        "espresso": {},
        "tea": {"size": "large"},  # corrected from small
    }
    assert sum(turn["barge_in_stop_ms"] is not None for turn in call["turns"]) == 1
    assert "✂            interrupted after" in done.stdout
    assert "\x1b" not in done.stdout
    (cut,) = re.findall(r"^Can I have.* (\d+) +(\d+)$", done.stdout, re.MULTILINE)
    assert all(0 < int(figure) < 500 for figure in cut)
    gaps = re.findall(r"^(?:When|No|Yes|Thank).*? (\d+) +(\d+) +\d+ ", done.stdout, re.MULTILINE)
    assert len(gaps) == 5
    assert all(abs(int(wire) - int(gateway)) < 250 for wire, gateway in gaps)
    for name in ("audio.wav", "events.jsonl", "caller.wav", "caller.json", "gateway.log"):
        assert (call_file.parent / name).stat().st_size > 0


@pytest.mark.parametrize("wait_s", [0.5, 12.0])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path, wait_s: float) -> None:
    mark = f"--record-dir={tmp_path}"
    process = subprocess.Popen([*DEMO, mark], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        time.sleep(wait_s)
        children = _below(process.pid)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, output.decode()
    assert wait_s < 1 or len(children) >= 3
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        command = [*DEMO, "--record-dir", str(tmp_path), "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "did not start" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [*DEMO, "--record-dir", str(tmp_path / "file" / "calls")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("gateway: cannot make ")


def _below(parent: int) -> list[int]:
    """Process ids of all children and their children."""
    parents = {}
    for name in (path.name for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(name)] = int(fields[1])
    found, todo = [], [parent]
    while todo:
        here = todo.pop()
        below = [pid for pid, above in parents.items() if above == here]
        found += below
        todo += below
    return found
