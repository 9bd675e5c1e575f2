import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway import errors
from gateway.process.framing import to_error, to_error_reply, to_line
from gateway.process.messages import UPWARD, CallProgress, Notice, PlaceCall, Request

texts = st.text(st.characters(categories=["L", "N", "Cs", "Cc"]))


@given(texts, st.dictionaries(texts, texts | st.floats() | st.none()))
def test_any_event_is_one_line_that_can_be_read(kind: str, data: dict[str, object]) -> None:
    line = to_line(Notice(notice=CallProgress(call_id="c", kind="k" + kind[:0], data=data)))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert isinstance(UPWARD.validate_json(line), Notice)


def test_a_command_survives_the_way() -> None:
    request = Request(id=7, command=PlaceCall(to="sip:a@b", agent="desk"))
    assert Request.model_validate_json(to_line(request)) == request


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"id": 1, "command": {"op": "explode"}}',
        b'{"id": 1, "command": {"op": "hang_up"}}',
        b'{"id": 1, "command": {"op": "hang_up", "call_id": "c", "why": "x"}}',
        b'{"id": 1, "command": {"op": "set_eagerness", "call_id": "c", "eagerness": "x"}}',
    ],
)
def test_what_is_no_command_is_refused(line: bytes) -> None:
    with pytest.raises(ValidationError):
        Request.model_validate_json(line)


@pytest.mark.parametrize(
    ("error", "arrives_as", "status"),
    [
        (errors.CallNotFound(404, "gone"), errors.CallNotFound, 404),
        (errors.TransferFailed(486, "busy"), errors.TransferFailed, 486),
        (errors.CommandError(422, "no agent"), errors.CommandError, 422),
        (errors.ProviderTimeout("p", "slow"), errors.CommandError, 503),
        (errors.MediaError("odd"), errors.CommandError, 500),
        (ZeroDivisionError("secret"), errors.CommandError, 500),
    ],
)
def test_errors_arrive_as_what_they_were(
    error: Exception, arrives_as: type[Exception], status: int
) -> None:
    arrived = to_error(to_error_reply(error))
    assert type(arrived) is arrives_as
    assert getattr(arrived, "status", None) == status
    assert "secret" not in str(arrived)
