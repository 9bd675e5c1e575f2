"""baresip, an independent user agent: a headless telephone whose microphone is a file."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.probe import voices
from tests.support.wav import write_wav

_MODULES = Path("/usr/lib/baresip/modules")
_CONFIG = """\
sip_listen 127.0.0.1:0
net_interface 127.0.0.1
audio_source aufile,{folder}/say.wav
snd_path {folder}
audio_player aufile,{folder}/heard.wav
audio_alert aufile,{folder}/heard.wav
rtp_ports {rtp}
module_path {modules}
module g711.so
module aufile.so
{more}module_tmp account.so
module_app menu.so
"""

needs_baresip = pytest.mark.skipif(
    shutil.which("baresip") is None or not (_MODULES / "aufile.so").exists(),
    reason="baresip is not installed: apt-get install --no-install-recommends baresip-core",
)


def write_config(
    folder: Path,
    says: str,
    at_s: float,
    *,
    account: str = "",
    modules: tuple[str, ...] = (),
    line_format: AudioFormat = NARROWBAND,
) -> None:
    """Prepare a telephone that says something after so many seconds.

    Args:
        folder: made here.
        says: the words.
        at_s: silence before and after them.
        account: parameters of its account, such as `;mediaenc=srtp-mand`.
        modules: further ones.
        line_format: `WIDEBAND` calls with G.722, speaks in its band and writes what it hears.
    """
    is_wide = line_format == WIDEBAND
    if is_wide:
        modules += ("g722", "sndfile")
    folder.mkdir()
    more = "".join(f"module {name}.so\n" for name in modules)
    text = _CONFIG.format(folder=folder, modules=_MODULES, rtp="33000-33098", more=more)
    (folder / "config").write_text(text)
    codec = "g722/16000/1" if is_wide else "pcmu"
    (folder / "accounts").write_text(
        f"<sip:baresip@127.0.0.1>;regint=0;audio_codecs={codec}{account}\n"
    )
    (folder / "contacts").write_text("")
    speech = asyncio.run(voices.render(says, line_format=line_format))
    silence = np.zeros(int(at_s * line_format.sample_rate_hz), np.int16)
    whole = np.concatenate([silence, speech, *[silence] * 4])
    write_wav(folder / "say.wav", whole.tobytes(), line_format.sample_rate_hz)


def run_baresip(folder: Path, uri: str, call_s: int) -> str:
    """Call for so long and hang up; gives what it printed."""
    done = subprocess.run(
        ["baresip", "-f", str(folder), "-t", str(call_s), "-e", f"d {uri}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=call_s + 10,
        check=True,
    )
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def heard(folder: Path) -> npt.NDArray[np.float64]:
    """Return the samples that it heard.  Its module `sndfile` must be loaded."""
    with wave.open(str(next(folder.glob("dump-*dec.wav")))) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)


def heard_rms(folder: Path) -> float:
    """How loud was what it heard?  Its module `sndfile` must be loaded."""
    samples = heard(folder)
    return float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0
