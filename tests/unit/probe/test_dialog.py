"""Messages of one dialog."""

from __future__ import annotations

from gateway.probe.dialog import Dialog
from gateway.probe.sip_messages import Message, parameter, parse, respond


def invited() -> tuple[Dialog, Message]:
    dialog = Dialog("127.0.0.1:5070", "alice")
    dialog.aim("sip:demo@127.0.0.1:5060")
    return dialog, dialog.request("INVITE")


def answer(invite: Message, status: int) -> Message:
    extra = (
        ("Contact", "<sip:worker@127.0.0.1:5999>"),
        ("Record-Route", "<sip:a;lr>"),
        ("Record-Route", "<sip:b;lr>"),
    )
    return parse(respond(invite, status, "x", to_tag="t1", extra=extra).serialise())


def test_a_confirmed_dialog_follows_contact_and_reversed_routes():
    dialog, invite = invited()
    dialog.confirm(answer(invite, 200))
    bye = dialog.request("BYE")
    assert bye.uri == "sip:worker@127.0.0.1:5999"
    assert bye.get_all("Route") == ["<sip:b;lr>", "<sip:a;lr>"]
    assert parameter(bye.get("To"), "tag") == "t1"
    assert bye.get("From") == invite.get("From")
    assert bye.cseq == (2, "BYE")
    assert bye.branch != invite.branch


def test_ack_of_success_is_its_own_transaction_and_of_refusal_the_invites():
    dialog, invite = invited()
    refused = dialog.acknowledge(invite, answer(invite, 486))
    assert (refused.uri, refused.branch, refused.cseq) == (invite.uri, invite.branch, (1, "ACK"))
    ok = answer(invite, 200)
    dialog.confirm(ok)
    accepted = dialog.acknowledge(invite, ok)
    assert accepted.branch != invite.branch
    assert (accepted.uri, accepted.cseq) == ("sip:worker@127.0.0.1:5999", (1, "ACK"))


def test_cancel_belongs_to_its_invite():
    dialog, invite = invited()
    cancel = dialog.cancel(invite)
    assert (cancel.branch, cancel.cseq, cancel.uri) == (invite.branch, (1, "CANCEL"), invite.uri)
    assert cancel.get("To") == invite.get("To")


def test_the_called_side_swaps_from_and_to():
    _, invite = invited()
    called = Dialog("127.0.0.1:5060", "demo")
    called.adopt(invite)
    ok = called.response(invite, 200, "OK")
    bye = called.request("BYE")
    assert bye.get("To") == invite.get("From")
    assert bye.get("From") == ok.get("To")
    assert bye.get("Call-ID") == invite.get("Call-ID")
    assert bye.uri == "sip:alice@127.0.0.1:5070"
