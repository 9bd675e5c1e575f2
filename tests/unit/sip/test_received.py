"""What the library has read counts; where our reading differs, the request is refused."""

from __future__ import annotations

import pytest

from gateway.sip.admitted import AdmittedRequest, AdmittedRequests
from gateway.sip.decision import Admit
from gateway.sip.received import as_request
from tests.support.received import received

INVITE = (
    b"INVITE sip:100@gw SIP/2.0\r\nt: <sip:100@gw>\r\nCSeq: 1 INVITE\r\nCall-ID: a\r\n"
    b"c: application/sdp\r\nl: 5\r\n\r\nv=0\r\n"
)


def test_tag_method_and_body_are_those_of_the_library():
    request, difference = as_request(received(INVITE, to_tag="x", body=b"v=1"))
    assert (request.to_tag, request.is_initial, request.body) == ("x", False, "v=1")
    assert difference == ""
    assert as_request(received(INVITE))[0].is_initial


@pytest.mark.parametrize(
    ("to", "library"),
    [
        (b"sip:100;tag=x@gw", ""),
        (b"<sip:100@gw;tag=x>", ""),
        (b'"a;tag=x" <sip:100@gw>', ""),
        (b"<sip:100@gw?tag=;tag=x>", ""),
        (b"<sip:100@gw>;tag", ""),
        (b"<sip:100@gw> ;\ttag = x", "x"),
        (b'"\\";tag=y" <sip:100@gw>;tag=x', "x"),
    ],
)
def test_no_look_of_a_to_line_makes_a_request_belong_to_a_dialog(to, library):
    message = INVITE.replace(b"<sip:100@gw>", to)
    request, _ = as_request(received(message, to_tag=library))
    assert request.is_initial is not bool(library)
    assert received(message, to_tag=library).is_new_call is not bool(library)


@pytest.mark.parametrize(
    ("read_otherwise", "difference"),
    [
        ({"method": "BYE"}, "the method"),
        ({"cseq_method": "BYE"}, "CSeq is of another method"),
        ({"header_names": frozenset({"t", "CSeq", "Replaces"})}, "the header replaces"),
        ({"header_names": frozenset({"T", "CSEQ", "Call-id", "C"})}, ""),
        ({"content_type": "text/plain"}, "the type of the body"),
        ({"content_type": "Application/SDP"}, ""),
    ],
)
def test_where_two_readings_differ(read_otherwise, difference):
    assert as_request(received(INVITE, **read_otherwise))[1] == difference


@pytest.mark.parametrize("end", [b"\r", b"\r\r\n", b"\n\r"])
def test_lines_end_as_everybody_reads_them(end):
    message = INVITE.replace(b"Call-ID: a\r\n", b"Call-ID: a" + end + b"X-Gateway-Trunk: b\r\n")
    assert as_request(received(message))[1] == "a line end of CR alone"


@pytest.mark.parametrize(("length", "is_short"), [(b"l: 6", True), (b"l: 5", False), (b"", False)])
def test_a_body_that_is_shorter_than_it_says(length, is_short):
    difference = as_request(received(INVITE.replace(b"l: 5", length)))[1]
    assert bool(difference) is is_short


def test_the_true_length_of_a_body_in_other_letters():
    body = "s=\u4e2d\u6587\r\n".encode()
    message = INVITE.replace(b"l: 5\r\n\r\nv=0\r\n", b"l: %d\r\n\r\n%s" % (len(body), body))
    assert as_request(received(message))[1] == ""


class TestAdmittedRequests:
    def admitted(self, message=INVITE):
        found = received(message)
        return AdmittedRequest(found, as_request(found)[0], Admit())

    def test_a_call_takes_the_ticket_that_was_issued_for_it_and_only_once(self):
        requests, one = AdmittedRequests(), self.admitted()
        requests.add(one)
        assert requests.take() is None  # it has to come through the dialog layer first
        assert requests.confirm(received(INVITE))
        assert requests.take() is one
        assert requests.take() is None
        assert not requests.confirm(received(INVITE))

    def test_another_request_does_not_use_it(self):
        requests = AdmittedRequests()
        requests.add(self.admitted())
        assert not requests.confirm(received(INVITE.replace(b"Call-ID: a", b"Call-ID: b")))
        assert requests.take() is None
        assert not requests.confirm(received(INVITE))

    def test_it_is_void_when_the_next_message_comes(self):
        requests = AdmittedRequests()
        requests.add(self.admitted())
        assert requests.confirm(received(INVITE))
        requests.forget()
        assert requests.take() is None

    def test_what_is_no_call_never_gets_one(self):
        options = INVITE.replace(b"INVITE", b"OPTIONS")
        requests = AdmittedRequests()
        requests.add(self.admitted(options))
        assert requests.confirm(received(options))
        assert requests.take() is None
