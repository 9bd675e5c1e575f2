"""One full call with an independent user agent, baresip: it speaks, is understood, hangs up."""

from __future__ import annotations

from pathlib import Path

from tests.support.baresip import needs_baresip, run_baresip, write_config
from tests.support.live_gateway import live_gateway

CALL_S = 9


@needs_baresip
def test_a_call_with_baresip(tmp_path: Path) -> None:
    write_config(tmp_path / "baresip", "When do you open tomorrow?", 3.0)
    with live_gateway(tmp_path, {"agents": {"desk": {"greeting": "Good morning."}}}) as gateway:
        told = run_baresip(tmp_path / "baresip", gateway.uri(), CALL_S)
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
