import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway import errors
from gateway.http.docs import docs_page
from gateway.http.errors import status_and_code
from gateway.http.port import DtmfBody, EagernessBody, PlaceCallBody, SayBody, check_target


@pytest.mark.parametrize(
    "target",
    [
        "sip:bob@192.0.2.7",
        "sip:bob@example.net:5070;transport=tcp",
        "SIP:+4930123456@carrier.example;user=phone",
        "sip:192.0.2.7",
        "+4930123456",
        "*97#",
        " 100 ",
    ],
)
def test_targets_that_can_be_called(target: str) -> None:
    assert check_target(target) == target.strip()


@pytest.mark.parametrize(
    "target",
    [
        "",
        "bob",
        "sip:",
        "sip:bob@",
        "sip:bob@host:0",
        "sip:bob@host:70000",
        "sips:bob@host",
        "tel:+4930123456",
        "sip:bob@host?Replaces=x",
        "sip:bob@host>\r\nX-Evil: 1",
        'sip:"bob"@host',
        "sip:bob@[::1]",
        "sip:bob@host;" + "a" * 600 + "=<x>",
        "+49 30 123",
        "١٢٣",
    ],
)
def test_targets_that_cannot(target: str) -> None:
    with pytest.raises(ValueError, match=r"must be|port"):
        check_target(target)


@given(st.text())
def test_no_target_can_break_a_header_line(target: str) -> None:
    try:
        checked = check_target(target)
    except ValueError:
        return
    assert not set(checked) & set('\r\n<>" \0')


def test_bodies_are_checked() -> None:
    assert SayBody(text="  Please\n hold. ").text == "Please hold."
    assert DtmfBody(digits="12#*aD").digits == "12#*aD"
    for body, values in [
        (SayBody, {"text": ""}),
        (SayBody, {"text": " \n"}),
        (SayBody, {"text": "a\x07b"}),
        (SayBody, {"text": "x" * 2001}),
        (DtmfBody, {"digits": ""}),
        (DtmfBody, {"digits": "12x"}),
        (DtmfBody, {"digits": "1\n"}),
        (DtmfBody, {"digits": "1" * 65}),
        (PlaceCallBody, {"to": "100", "speed": 2}),
        (EagernessBody, {}),
        (EagernessBody, {"eagerness": "LOW"}),
    ]:
        with pytest.raises(ValidationError):
            body(**values)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.CallNotFound(404, "gone"), 404, "call_not_found"),
        (errors.NoCallSlot(503, "full"), 503, "no_call_slot"),
        (errors.TransferFailed(486, "busy"), 502, "transfer_failed"),
        (errors.CallRejected(603, "no"), 502, "call_rejected"),
        (errors.SipError(488, "codec"), 502, "sip_error"),
        (errors.CommandError(422, "no agent x"), 422, "invalid_request"),
        (errors.CommandError(200, "absurd"), 500, "command_failed"),
        (errors.ProviderTimeout("openai", "slow"), 504, "provider_timeout"),
        (errors.ProviderRejected("openai", "key"), 502, "provider_rejected"),
        (errors.GatewayError("?"), 500, "gateway_error"),
    ],
)
def test_every_error_has_its_status(error: errors.GatewayError, status: int, code: str) -> None:
    assert status_and_code(error) == (status, code)


def test_the_docs_page_escapes_and_loads_nothing() -> None:
    field = {"type": "string", "description": "<script>`a<b`</script>", "examples": ["'x'"]}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/B"}}}}
    operation = {"description": "**Bold**", "requestBody": body, "responses": {"204": {}}}
    page = docs_page(
        {
            "info": {"title": "T", "version": "1"},
            "paths": {"/v1/x": {"post": operation}},
            "components": {"schemas": {"B": {"properties": {"f": field}, "required": ["f"]}}},
        },
        "http://h:1<",
    )
    assert "<script" not in page
    assert "<code>a&lt;b</code>" in page
    assert "<b>Bold</b>" in page
    assert "curl -X POST http://h:1&lt;/v1/x" in page
    assert "string, required" in page
    assert "src=" not in page
    assert "https://" not in page
