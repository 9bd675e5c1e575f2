"""`record = false`: a whole call leaves neither sound nor words, while its neighbour's is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.support.live_gateway import live_gateway
from tests.support.outside import calling

GREETING = "Good morning, this is the pelican desk."
CONFIG = {
    "agents": {
        "open": {"greeting": GREETING},
        "private": {"greeting": GREETING, "record": False},
    },
    "dialplan": {"directory": "plans"},
}
PLAN = """
[[contexts.default.extensions]]
name = "private"
called = "200"
steps = [{ answer = {} }, { talk = "private" }]

[[contexts.default.extensions]]
name = "open"
steps = [{ answer = {} }, { talk = "open" }]
"""


def test_an_agent_that_is_not_recorded_leaves_no_words_anywhere(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "plan.toml").write_text(PLAN)
    with live_gateway(tmp_path, CONFIG) as gateway:

        async def call(number: str) -> tuple[Path, dict[str, Any]]:
            async with calling(gateway.uri(number)) as phone:
                await phone.bot_is_done()
                said_ns = await phone.say("When do you open tomorrow?")
                await phone.bot_is_done(since_ns=said_ns)
            record = await gateway.finished(phone.sip_call_id)
            assert record["talk_s"] > 2
            return gateway.gateway.bundle(record), record

        kept, kept_record = asyncio.run(call("100"))
        private, private_record = asyncio.run(call("200"))

    assert (kept / "audio.wav").is_file()
    assert not (private / "audio.wav").exists()
    assert b"pelican" in everything(kept)
    assert b"pelican" not in everything(private)
    understood = [turn["caller_text"] for turn in kept_record["turns"] if turn["caller_text"]]
    assert understood
    assert not any(text.encode() in everything(private) for text in understood)
    assert not any(turn["caller_text"] for turn in private_record["turns"])


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.suffix != ".wav")
