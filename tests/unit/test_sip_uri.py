"""SIP and tel URIs and name-addrs: tables of what the field sends, and any text at all."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip_uri import (
    first_number,
    members,
    number_of,
    parse_name_addr,
    parse_uri,
    uri_number,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('"Bob" <sip:bob@host;x=y>;tag=1', "bob"),
        ("sips:+4930:secret@host:5061", "+4930"),
        ("<sip:host>", ""),
        ("sip:alice@host;tag=x", "alice"),
        # Parameters within the user part.
        ("sip:+4930123;npdi;rn=+4930999@c.example;user=phone", "+4930123"),
        ("<sip:+4940555;cpc=ordinary@c.example;user=phone>", "+4940555"),
        ("<sip:+4930123;tgrp=g1;trunk-context=c.example@host>", "+4930123"),
        ("<sip:+4940555;isub=2@c.example>", "+4940555"),
        ("<sip:123;phone-context=+4930@c.example;user=phone>", "123"),
        # Escapes (RFC 3261 section 19.1.4).
        ("sip:%2B4930123@host", "+4930123"),
        ("sip:%2a21%23@host", "*21#"),
        ("sip:J%C3%BCrgen@host", "Jürgen"),
        ("sip:100%3Bext=5@host", "100;ext=5"),
        # Telephone numbers with visual separators; names are left alone.
        ("tel:+49-30-123.456(78)", "+4930123456" + "78"),
        ("tel:863-1234;phone-context=+1-914-555", "8631234"),
        ("<tel:+4930;isub=1>;tag=x", "+4930"),
        ("sip:+1-555-0100@host", "+15550100"),
        ("<sip:030%20123-4@host;user=phone>", "0301234"),
        ("sip:front-desk@host", "front-desk"),
        ("sip:j.doe@host;user=phone", "j.doe"),
        # Display names that look like URIs, quotes, backslashes.
        ('"sip:boss@hq" <sip:+4917699@trunk>', "+4917699"),
        ('"tel:110" <sip:+4917699@trunk>', "+4917699"),
        ('"a \\" <sip:boss@hq>" <sip:+4917699@trunk>', "+4917699"),
        ('"\\\\" <sip:+4917699@trunk>', "+4917699"),
        ("Bob Smith <sip:+4917699@trunk>", "+4917699"),
        ('"x;tag=1, <sip:2@y>"<sip:1@y>;q="<sip:3@z>"', "1"),
        # What is none.
        ("nonsense", ""),
        ("", ""),
        ("sip:a@b@c", ""),
        ("<sip:a@b", ""),
        ('"open <sip:a@b>', ""),
        ("<sip:a@b>, <sip:c@d>", ""),
        ("sip:@host", ""),
        ("sip:a%00b@host", ""),
        ("sip:a%0d%0ab@host", ""),
        ("sip:a%2@host", ""),
        ("mailto:a@b", ""),
        ("https://a@b", ""),
        ("sip:a@b:99999", ""),
        ("sip:a@-b", ""),
        ("tel:", ""),
    ],
)
def test_numbers(text, number):
    assert number_of(text) == number
    if text[:1] not in '"<B' and ";tag" not in text:
        assert uri_number(text) == number


def test_a_name_addr_is_taken_apart():
    found = parse_name_addr('"A \\"B\\"" <sips:a;rn=1:pw@H.Example.:99;LR;m="x">; Tag = t ;z')
    assert found.display_name == 'A "B"'
    assert found.parameters == {"tag": "t", "z": ""}
    uri = found.uri
    assert (uri.scheme, uri.user, uri.host, uri.port) == ("sips", "a", "h.example.", 99)
    assert uri.user_parameters == {"rn": "1"}
    assert uri.parameters == {"lr": "", "m": "x"}
    assert parse_uri("sip:[::1]:5070").host == "[::1]"
    assert parse_uri("sip:a@h?Route=%3csip:x%3e").parameters == {}


def test_several_values_in_one_line_and_in_several():
    lines = ('"A, B" <sip:1@a,b>;reason="x,y" , <sip:2@b>', "tel:+3")
    assert list(members(lines)) == ['"A, B" <sip:1@a,b>;reason="x,y"', "<sip:2@b>", "tel:+3"]
    assert first_number(("junk, <sip:host>", "<sip:2@b>, <sip:3@c>")) == "2"
    assert first_number(()) == ""


USERS = st.text(
    st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f"), min_size=1
).filter(lambda text: not text.startswith("+"))


@given(USERS, st.text(st.characters(exclude_characters='\\"', min_codepoint=32)))
def test_what_is_escaped_is_read_back_whatever_the_display_name_says(user, name):
    escaped = "".join(f"%{byte:02X}" for byte in user.encode())
    assert number_of(f'"{name}" <sip:{escaped};rn=9:pw@host>;tag=1') == user
    assert number_of(f"sip:{escaped}@host") == user


MARKS = st.text(st.sampled_from('<>"\\;:,=@%2B+-. \r\n\tsiptel0'))


@given(st.one_of(st.text(), MARKS, MARKS.map(lambda text: f"<sip:{text}@host>")))
def test_nothing_but_value_error_whatever_comes(text):
    for read in (parse_uri, parse_name_addr):
        with suppress(ValueError):
            read(text)
    assert all(mark not in number_of(text) for mark in "\r\n\0")
    assert isinstance(first_number([text, text]), str)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("part", ['"', "\\", "<", ">", ",", '"\\', "%", "sip:", ";a=", "<sip:a@b>"])
def test_long_values_are_read_in_no_time(part):
    for text in (part * 50000, f'"{part * 50000}', part * 1300):
        number_of(text)
        first_number([text])
