"""E-mail addresses, as callers say and recognizers write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.script.email_address import email_address, say_email


@pytest.mark.parametrize(
    ("heard", "address"),
    [
        ("john dot smith at example dot com", "john.smith@example.com"),
        ("John Dot Smith at example dot com.", "john.smith@example.com"),
        ("john.smith@example.com", "john.smith@example.com"),
        ("Info@corner-cafe.co.uk.", "info@corner-cafe.co.uk"),
        ("J. Dot Smith at gmail dot com.", "j.smith@gmail.com"),
        ("My email is johnsmith99@yahoo.com, thanks.", "johnsmith99@yahoo.com"),
        ("my e-mail address is john smith 99 at yahoo dot com", "johnsmith99@yahoo.com"),
        ("you can reach me at anna at web dot de please", "anna@web.de"),
        ("it's anna at g mail dot com", "anna@gmail.com"),
        ("anna underscore lee at web dot d e", "anna_lee@web.de"),
        ("anna under score lee at web dot d e okay", "anna_lee@web.de"),
        ("mary dash jones forty two at outlook dot com", "mary-jones42@outlook.com"),
        ("peter hyphen parker seventy at outlook dot com", "peter-parker70@outlook.com"),
        ("bob plus spam at example dot org", "bob+spam@example.org"),
        ("info at corner cafe dot co dot uk", "info@cornercafe.co.uk"),
        ("bob at mail dot example dot net", "bob@mail.example.net"),
        ("tim at hotmail dot com, all lower case", "tim@hotmail.com"),
        ("A, bc at x y z dot com.", "abc@xyz.com"),
        ("A-b-c at x-y-z.com", "abc@xyz.com"),
        ("m as in mike, e y e r at example dot com", "meyer@example.com"),
        ("B for Bravo, E for Echo at example dot com", "be@example.com"),
        ("bi double l at example dot com", "bill@example.com"),
        ("i like tea at example dot com", "iliketea@example.com"),
        ("John dot O'Neill at example dot com", "john.oneill@example.com"),
        ("Jos\u00e9 at example dot com", "jose@example.com"),
        ("tim at hotmail dot con", "tim@hotmail.com"),
        ("tim at example dot com, no sorry, tom at example dot com", "tom@example.com"),
        ("mail at example dot com", "mail@example.com"),
        ("me at example dot com", "me@example.com"),
        ("john dot smith", None),
        ("at example dot com", None),
        ("john at example", None),
        ("john dot at example dot com", None),
        ("john at dot com", None),
        ("John Dot Smith had a example dot com.", None),
        ("meet me at nine point five", None),
        ("see you at three.", None),
        ("I don't have one.", None),
        ("", None),
    ],
)
def test_addresses(heard: str, address: str | None) -> None:
    assert email_address(heard) == address


@pytest.mark.parametrize(
    ("address", "spoken"),
    [
        ("john.smith@example.com", "john dot smith at example dot com"),
        ("j_lee+1@web.de", "j underscore lee plus 1 at web dot D E"),
        ("a-b@x.co.uk", "a dash b at x dot co dot U K"),
    ],
)
def test_how_an_address_is_said(address: str, spoken: str) -> None:
    assert say_email(address) == spoken


_LABEL = st.sampled_from(["john", "smith", "corner", "cafe", "j", "x2", "42", "web", "lee"])


@given(
    local=st.lists(_LABEL, min_size=1, max_size=3),
    mark=st.sampled_from("._-+"),
    domain=st.lists(_LABEL, min_size=1, max_size=2),
    top=st.sampled_from(["com", "de", "org", "io", "co.uk"]),
)
def test_what_is_said_is_read_back(
    local: list[str], mark: str, domain: list[str], top: str
) -> None:
    address = f"{mark.join(local)}@{'.'.join(domain)}.{top}"
    assert email_address(say_email(address)) == address


@given(st.text() | st.text("abc @.-'atdo1", max_size=60))
def test_any_text_is_taken(text: str) -> None:
    found = email_address(text)
    assert found is None or (found.count("@") == 1 and email_address(found) == found)
