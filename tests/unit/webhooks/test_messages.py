"""What receivers are told of the events of a call."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from gateway.http.event_feed import CallNotice
from gateway.records.model import CallRecord, TurnRecord
from gateway.webhooks.messages import (
    MOST_RECORD_BYTES,
    Translator,
    body_of,
    ended,
    record_ready,
)

CALL = "20261129-120000-0123abcd"
AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def notice(kind: str, **data: Any) -> CallNotice:
    return CallNotice(CALL, AT, 1.5, kind, data)


def told(*notices: CallNotice) -> list[tuple[str, dict[str, Any]]]:
    translator = Translator()
    return [(h.type, dict(h.data)) for each in notices for h in translator.told(each)]


def record(**fields: Any) -> CallRecord:
    made = CallRecord(call_id=CALL, direction="in", started_at=AT, **fields)
    return made.ended(AT, "caller_hung_up", "")


def test_a_tool_comes_with_its_own_arguments() -> None:
    found = told(
        notice("tool_called", tool="look_up", arguments='{"n":1}'),
        notice("tool_called", tool="look_up", arguments='{"n":2}'),
        notice("tool_finished", tool="look_up", result="one", is_error=False),
        notice("tool_dropped", tool="look_up"),
        notice("tool_finished", tool="other", result="", is_error=True),
    )
    assert [data["arguments"] for _, data in found] == ['{"n":1}', ""]
    assert {kind for kind, _ in found} == {"call.tool"}


def test_transfers_have_one_type_and_a_state() -> None:
    found = told(
        notice("transfer_started", target="sip:a@b"),
        notice("transfer_failed", target="sip:a@b", problem="486"),
        notice("transferred", target="sip:a@b"),
    )
    assert [(kind, data["state"]) for kind, data in found] == [
        ("call.transfer", "started"),
        ("call.transfer", "failed"),
        ("call.transfer", "confirmed"),
    ]


def test_the_body_is_one_line_of_json_that_begins_with_its_id() -> None:
    (happening,) = Translator().told(notice("answered", codec="PCMU"))
    body = body_of(CALL, happening, 2)
    assert b"\n" not in body
    assert body.startswith(b'{"id":"' + CALL.encode() + b'-2"')
    assert json.loads(body) == {
        "id": f"{CALL}-2",
        "type": "call.answered",
        "timestamp": AT.isoformat(),
        "call_id": CALL,
        "audio_s": 1.5,
        "data": {"codec": "PCMU"},
    }


def test_the_end_has_the_same_id_before_and_after_a_restart() -> None:
    assert json.loads(body_of(CALL, ended(record()), 9))["id"] == f"{CALL}-ended"
    assert json.loads(body_of(CALL, record_ready(record()), 3))["id"] == f"{CALL}-record_ready"


def test_a_long_record_is_read_by_the_api() -> None:
    text = "x" * 1000
    turns = tuple(TurnRecord(index=n, caller_text=text, bot_text_heard=text) for n in range(600))
    found = record_ready(record(turns=turns)).data
    assert found["record"] is None
    assert found["record_path"] == f"/v1/calls/{CALL}"
    assert len(json.dumps(record_ready(record(turns=turns[:10])).data)) < MOST_RECORD_BYTES
    assert record_ready(record(turns=turns[:10])).data["record"]["turns"]
