"""What the library's parser made of a request, read out of its `pjsip_rx_data`.

The offsets belong to one build (pjsua2-python 2.15.1.post1, x86-64); `RequestFilter.self_test`
proves every one of them against a real datagram, or the gateway does not start.
"""

from __future__ import annotations

import ctypes

from gateway.sip.received import Received

# struct pjsip_rx_data (pjsip/sip_transport.h)
_TRANSPORT = 8
_SOURCE_NAME, _SOURCE_PORT = 4368, 4416
_TEXT, _TEXT_LENGTH, _MESSAGE = 4424, 4432, 4440
_CALL_ID, _FROM, _TO, _VIA, _CSEQ = 4456, 4464, 4472, 4480, 4488
# struct pjsip_msg: method {id, name}, list of headers, body
_METHOD, _METHOD_NAME, _HEADERS, _BODY = 8, 16, 40, 104
# struct pjsip_hdr: prev, next, type, name, sname, vptr; then what each kind has
_NEXT, _NAME, _VALUE = 8, 24, 64
_TAG, _BRANCH, _CSEQ_METHOD, _CSEQ_METHOD_NAME = 72, 144, 72, 80
# struct pjsip_msg_body: content type {type, subtype, parameters}, data, length
_SUBTYPE, _BODY_DATA, _BODY_LENGTH = 16, 80, 88
_METHODS = ("INVITE", "CANCEL", "ACK", "BYE", "REGISTER", "OPTIONS")  # pjsip_method_e
_MOST = 65535
_MOST_HEADERS = 512


def text_of(rdata: int) -> tuple[bytes, str, int]:
    """Return a message as it came, its source address and port."""
    source = ctypes.string_at(rdata + _SOURCE_NAME).decode("ascii", "replace")
    port = ctypes.c_int.from_address(rdata + _SOURCE_PORT).value
    start = _pointer(rdata + _TEXT)
    length = ctypes.c_int.from_address(rdata + _TEXT_LENGTH).value
    if not start or not 0 < length <= _MOST:
        return b"", source, port
    return ctypes.string_at(start, length), source, port


def method_of(rdata: int) -> str:
    """Return the method as the library acts on it; empty without a message."""
    message = _pointer(rdata + _MESSAGE)
    return _method(message + _METHOD, message + _METHOD_NAME) if message else ""


def drop_body(rdata: int) -> None:
    """Have the library find no body in a message."""
    message = _pointer(rdata + _MESSAGE)
    if message:
        ctypes.c_void_p.from_address(message + _BODY).value = None


def overwrite(rdata: int, text: bytes) -> None:
    """Write another text over a message's, in which the library has bodies lie.

    Args:
        rdata: the message, before its body is read.
        text: of the same length, with the same headers.
    """
    before, _, _ = text_of(rdata)
    if before != text and len(before) == len(text):
        ctypes.memmove(_pointer(rdata + _TEXT), text, len(text))


def drop_routes(rdata: int) -> None:
    """Have the library find no Record-Route in a message."""
    head = _pointer(rdata + _MESSAGE) + _HEADERS
    node = _pointer(head + _NEXT)
    for _ in range(_MOST_HEADERS):
        if node in {head, 0}:
            return
        following = _pointer(node + _NEXT)
        if _text(node + _NAME).lower() == "record-route":
            before = _pointer(node)
            ctypes.c_void_p.from_address(before + _NEXT).value = following
            ctypes.c_void_p.from_address(following).value = before
        node = following


def received(rdata: int) -> Received:
    """Return a request as the library has read it.

    Raises:
        ValueError: a part that every request has is missing; the library would not have passed it.
    """
    data, source, port = text_of(rdata)
    message = _pointer(rdata + _MESSAGE)
    call_id, sender, to, via, cseq = (
        _pointer(rdata + place) for place in (_CALL_ID, _FROM, _TO, _VIA, _CSEQ)
    )
    if not all((message, call_id, sender, to, via, cseq)):
        raise ValueError("not a whole request")
    content_type, body = _body(_pointer(message + _BODY))
    return Received(
        data=data,
        source=source,
        port=port,
        method=_method(message + _METHOD, message + _METHOD_NAME),
        cseq_method=_method(cseq + _CSEQ_METHOD, cseq + _CSEQ_METHOD_NAME),
        to_tag=_text(to + _TAG),
        from_tag=_text(sender + _TAG),
        call_id=_text(call_id + _VALUE),
        cseq=ctypes.c_int.from_address(cseq + _VALUE).value,
        branch=_text(via + _BRANCH),
        header_names=_header_names(message + _HEADERS),
        content_type=content_type,
        body=body,
        transport=_pointer(rdata + _TRANSPORT),
    )


def _method(number_at: int, name_at: int) -> str:
    number = ctypes.c_int.from_address(number_at).value
    return _METHODS[number] if 0 <= number < len(_METHODS) else _text(name_at)


def _header_names(head: int) -> frozenset[str]:
    names: set[str] = set()
    node = _pointer(head + _NEXT)
    for _ in range(_MOST_HEADERS):
        if node in {head, 0}:
            return frozenset(names)
        names.add(_text(node + _NAME))
        node = _pointer(node + _NEXT)
    raise ValueError(f"more than {_MOST_HEADERS} headers")


def _body(body: int) -> tuple[str, bytes]:
    if not body:
        return "", b""
    length = ctypes.c_uint.from_address(body + _BODY_LENGTH).value
    data = _pointer(body + _BODY_DATA)
    kind = f"{_text(body)}/{_text(body + _SUBTYPE)}"
    return kind, ctypes.string_at(data, length) if data and 0 < length <= _MOST else b""


def _text(place: int) -> str:
    """Read a `pj_str_t`."""
    start, length = _pointer(place), ctypes.c_ssize_t.from_address(place + 8).value
    if not start or not 0 < length <= _MOST:
        return ""
    return ctypes.string_at(start, length).decode("utf-8", "surrogateescape")


def _pointer(place: int) -> int:
    return ctypes.c_void_p.from_address(place).value or 0
