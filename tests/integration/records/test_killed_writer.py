"""A worker killed in mid-call leaves a bundle that can be read, and that repair completes."""

import signal
import subprocess
import sys
import textwrap
import wave
from pathlib import Path

import numpy as np

from gateway.records.bundle_files import is_being_written
from gateway.records.local_bundles import LocalBundles
from gateway.records.repair import repair
from gateway.telemetry.process import is_process_alive
from tests.support.processes import running_program

WRITER = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from gateway.records.model import CallRecord, TurnRecord
    from gateway.records.store import CallRecords

    records = CallRecords(Path(sys.argv[1]))
    call_id = records.new_call_id()
    record = CallRecord(call_id=call_id, direction="in", started_at=datetime.now(UTC))
    bundle = records.open(record)
    bundle.turn(TurnRecord(index=0, bot_text_heard="Hello."), 0.0)
    for frame in range(10_000_000):
        bundle.write_audio(frame.to_bytes(2, "little", signed=True) * 160, bytes(320))
        bundle.event("frame", bundle.audio_s, number=frame)
        if frame == 130:
            print("ready", flush=True)
            sys.stdin.readline()
"""


def bundle_of(directory: Path) -> Path:
    return next(directory.glob("*/*/call.json")).parent


def test_a_killed_writer_loses_at_most_a_second(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with running_program(command, **pipes) as writer:
        assert writer.stdout.readline() == "ready\n"
        assert is_process_alive(writer.pid)
        assert repair(tmp_path) == []
        assert is_being_written(bundle_of(tmp_path))  # seen from another container too
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL

    (call_id,) = repair(tmp_path)
    local = LocalBundles(tmp_path)
    record = local.read(call_id)
    assert (record.state, record.end_reason) == ("finished", "worker_lost")
    assert record.worker_pid == writer.pid
    assert [turn.bot_text_heard for turn in record.turns] == ["Hello."]
    with wave.open(str(local.audio(call_id))) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    assert samples[::160, 0].tolist() == list(range(100))
    lines = (local.folder(call_id) / "events.jsonl").read_text().splitlines()
    assert len(lines) == 132
