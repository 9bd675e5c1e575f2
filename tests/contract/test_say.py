"""`gateway say`: a text as an agent would say it, by the command line."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.audio.format import NARROWBAND
from gateway.audio.loudness import active_dbfs
from gateway.audio.wav import read_wav
from tests.support.cartesia_voice import CartesiaVoice
from tests.support.elevenlabs_voice import ElevenLabsVoice
from tests.support.voice_double import VoiceDouble

ESPEAK = """
default_agent = "desk"
[agents.other]
tts = { provider = "espeak", pitch = 40 }
[agents.desk]
tts = { provider = "espeak", level_dbfs = -26 }
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("gateway.toml").write_text(ESPEAK)
    return tmp_path


def test_a_text_is_read_and_levelled_as_an_answer_is(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["say", "It costs **$3.50**. Really!"]) == 0
    shown = capsys.readouterr().out
    assert "agent      desk, voice espeak" in shown
    assert "three dollars and fifty cents" in shown
    assert "| Really!" in shown
    pcm, rate_hz = read_wav(here / "say.wav")
    assert rate_hz == 8000
    assert 1.5 < NARROWBAND.seconds(pcm) < 6
    assert active_dbfs(pcm, rate_hz) == pytest.approx(-26, abs=2.5)


def test_a_wide_line_has_the_band_of_the_voice(here: Path):
    assert main(["say", "Hello there.", "--wide", "--out", "wide.wav"]) == 0
    assert read_wav(here / "wide.wav")[1] == 16_000


def test_an_agent_that_is_not_there_is_named_with_those_that_are(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["say", "Hello.", "--agent", "dest"]) == 1
    assert 'no agent "dest"; configured: desk, other' in capsys.readouterr().err


def test_what_has_no_sound_and_what_cannot_be_written_is_said(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["say", "..."]) == 1
    assert "espeak: gave no sound" in capsys.readouterr().err
    assert main(["say", "Hello.", "--out", "no/such/folder/a.wav"]) == 1
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    assert not (here / "say.wav").exists()


async def said(double: VoiceDouble, folder: Path, *more: str) -> tuple[int, str]:
    """Run the command beside the double; return its exit code and what it printed."""
    fields = ", ".join(f"{key} = {json.dumps(value)}" for key, value in double.settings().items())
    (folder / "gateway.toml").write_text(f"[agents.desk]\ntts = {{ {fields} }}\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "say", "Good morning, sir.", *more,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode()


@pytest.mark.parametrize("vendor", [ElevenLabsVoice, CartesiaVoice], ids=lambda it: it.NAME)
def test_a_voice_of_a_vendor_is_heard_or_its_refusal_read(
    vendor: type[VoiceDouble], tmp_path: Path
):
    async def scenario() -> None:
        async with vendor() as double:
            code, shown = await said(double, tmp_path)
            assert (code, "reported by the voice" in shown) == (0, True), shown
            pcm, _ = read_wav(tmp_path / "say.wav")
            assert NARROWBAND.seconds(pcm) == pytest.approx(18 * 0.05 + 0.18, abs=0.05)
            double.trouble = "voice"
            code, shown = await said(double, tmp_path)
            assert code == 1
            assert "No such voice: anna." in shown

    asyncio.run(scenario())
