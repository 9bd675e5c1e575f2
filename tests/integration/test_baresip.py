"""One full call with an independent user agent, baresip: it speaks, is understood, hangs up."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from gateway.probe import voices
from gateway.probe.rtp import SAMPLE_RATE_HZ
from tests.support.live_gateway import live_gateway

CALL_S = 9
SPEAKS_AT_S = 3.0
MODULES = Path("/usr/lib/baresip/modules")
CONFIG = """\
sip_listen 127.0.0.1:0
net_interface 127.0.0.1
audio_source aufile,{folder}/say.wav
audio_player aufile,{folder}/heard.wav
audio_alert aufile,{folder}/heard.wav
rtp_ports {rtp}
module_path {modules}
module g711.so
module aufile.so
module_tmp account.so
module_app menu.so
"""


def write_config(folder: Path) -> None:
    """A headless telephone whose microphone is a file."""
    folder.mkdir()
    text = CONFIG.format(folder=folder, modules=MODULES, rtp="33000-33098")
    (folder / "config").write_text(text)
    (folder / "accounts").write_text("<sip:baresip@127.0.0.1>;regint=0;audio_codecs=pcmu\n")
    (folder / "contacts").write_text("")
    speech = asyncio.run(voices.render("When do you open tomorrow?"))
    silence = np.zeros(int(SPEAKS_AT_S * SAMPLE_RATE_HZ), np.int16)
    with wave.open(str(folder / "say.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.concatenate([silence, speech, *[silence] * 4]).tobytes())


@pytest.mark.skipif(
    shutil.which("baresip") is None or not (MODULES / "aufile.so").exists(),
    reason="baresip is not installed: apt-get install --no-install-recommends baresip-core",
)
def test_a_call_with_baresip(tmp_path: Path) -> None:
    write_config(tmp_path / "baresip")
    with live_gateway(tmp_path, {"agents": {"desk": {"greeting": "Good morning."}}}) as gateway:
        command = ["baresip", "-f", str(tmp_path / "baresip"), "-t", str(CALL_S)]
        told = subprocess.run(
            [*command, "-e", f"d {gateway.uri()}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CALL_S + 10,
            check=True,
        ).stdout.decode(errors="replace")
        record = gateway.gateway.wait_for_call(10)
    assert "Call established" in told
    assert (record["caller"], record["codec"]) == ("baresip", "PCMU")
    assert record["end_reason"] == "caller_hung_up"
    assert record["turns"][0]["bot_text_heard"] == "Good morning."
    asked = " ".join(turn["caller_text"] or "" for turn in record["turns"]).lower()
    assert "open" in asked
    assert record["turns"][1]["bot_text_heard"]
    rtp = record["rtp"]
    assert min(rtp["received_packets"], rtp["sent_packets"]) > 50 * (CALL_S - 2)
    assert rtp["received_lost"] == rtp["sent_lost"] == 0
