"""The SIP torture tests of RFC 4475, written from its descriptions: one message per section.

`expect` says what a user agent server of ours must do with each:

- "answered": it is valid, so that a final answer must come, and not 400;
- "not accepted": it is broken, or not for us: silence or a refusal, but no 2xx;
- "anything": the RFC leaves it open; the gateway must live.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Expect = Literal["answered", "not accepted", "anything"]

SDP = """\
v=0
o=mhandley 29739 7272939 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
"""


@dataclass(frozen=True, slots=True)
class Torture:
    """One message; `{via}` (host:port) and `{id}` (unique) are still to be filled in."""

    name: str
    section: str
    expect: Expect
    text: bytes
    body: bytes = b""
    length: str | None = None
    """Content-Length; None = the true one, empty = no such header."""

    def datagram(self, via: str, unique: str) -> bytes:
        """Give the message as it goes out."""
        head = self.text.replace(b"{via}", via.encode()).replace(b"{id}", unique.encode())
        length = str(len(self.body)) if self.length is None else self.length
        tail = b"Content-Length: " + length.encode() + b"\r\n" if length else b""
        return head.replace(b"\n", b"\r\n") + tail + b"\r\n" + self.body


def _message(
    start: str,
    *,
    to: str = "To: <sip:user@127.0.0.1>",
    sender: str = "From: <sip:caller@127.0.0.1>;tag={id}",
    via: str = "Via: SIP/2.0/UDP {via};branch=z9hG4bK{id}",
    call_id: str = "Call-ID: {id}",
    cseq: str = "",
    forwards: str = "Max-Forwards: 70",
    contact: str = "Contact: <sip:caller@{via}>",
    more: str = "",
    kind: str = "",
) -> bytes:
    """A message of the usual headers, each of which may be replaced or left out."""
    method = start.split(" ", maxsplit=1)[0]
    cseq = cseq or f"CSeq: 1 {method}"
    content = f"Content-Type: {kind}" if kind else ""
    lines = [start, to, sender, via, call_id, cseq, forwards, contact, more.strip("\n"), content]
    return "".join(f"{line}\n" for line in lines if line).encode("utf-8", "surrogateescape")


_TYPE = "application/sdp"
_BODY = SDP.replace("\n", "\r\n").encode()
_INVITE = "INVITE sip:user@127.0.0.1 SIP/2.0"
_OPTIONS = "OPTIONS sip:user@127.0.0.1 SIP/2.0"
_REGISTER = "REGISTER sip:127.0.0.1 SIP/2.0"
_LONG = "long" * 20

MESSAGES = (
    # --- 3.1.1 valid messages ---
    Torture(
        "wsinv", "3.1.1.1", "answered",
        (
            "INVITE sip:vivekg@127.0.0.1;unknownparam SIP/2.0\n"
            "TO :\n sip:vivekg@127.0.0.1 ;   tag    =\n"
            'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@127.0.0.1>\n  ;\n  tag = {id}\n'
            "MaX-fOrWaRdS: 0068\nCall-ID: {id}\ncseq: 0009\n  INVITE\n"
            "Via  : SIP  /   2.0\n /UDP\n    {via};branch=z9hG4bK{id}\nSubject :\n"
            "NewFangledHeader:   newfangled value\n continued newfangled value\n"
            "UnknownHeaderWithUnusualValue: ;;,,;;,;\nContent-Type: application/sdp\n"
            "Route:\n <sip:127.0.0.1;unknownwith=value;unknown-no-value>\n"
            'm:"Quoted string \\"\\"" <sip:jdrosen@{via}> ; newparam =\n      newvalue ;\n'
            "  secondparam ; q = 0.33\n"
        ).replace(" ;   tag    =\n", "\n").encode(),
        _BODY,
    ),
    Torture(
        "intmeth", "3.1.1.2", "anything",
        _message(
            "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)"
            "&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@127.0.0.1 SIP/2.0",
            to='To: "BEL:\\\x07 NUL:\\\x01 DEL:\\\x7f" <sip:1_unusual.URI~@127.0.0.1>',
            sender="From: token1~` token2'+_ token3*%!.- <sip:mundane@127.0.0.1>"
            ";fromParam''~+*_!.-%=\"\u0440\u0430\u0431\u043e\u0442\";tag={id}",
            more="extensionHeader-!.%*+_`'~: \ufeff\u5927\u505c\u96fb",
        ),
    ),
    Torture(
        "esc01", "3.1.1.3", "answered",
        _message(
            "INVITE sip:sips%3Auser%40example.com@127.0.0.1 SIP/2.0",
            to="To: sip:%75se%72@127.0.0.1",
            sender="From: <sip:I%20have%20spaces@127.0.0.1>;tag={id}",
            contact="Contact: <sip:caller@{via};%6C%72;n%61me=v%61lue%25%34%31>",
            kind=_TYPE,
        ),
        _BODY,
    ),
    Torture(
        "escnull", "3.1.1.4", "not accepted",
        _message(
            _REGISTER,
            to="To: sip:null-%00-null@127.0.0.1",
            sender="From: sip:null-%00-null@127.0.0.1;tag={id}",
            contact="Contact: <sip:%00@{via}>\nContact: <sip:%00%00@{via}>",
        ),
    ),
    Torture(
        "esc02", "3.1.1.5", "not accepted",
        _message(
            "RE%47IST%45R sip:registrar.127.0.0.1 SIP/2.0",
            to='To: "%Z%45" <sip:resource@127.0.0.1>',
            sender='From: "%Z%45" <sip:resource@127.0.0.1>;tag={id}',
            contact="Contact: <sip:alias1@{via}>\nContact: <sip:alias%32@{via}>",
        ),
    ),
    Torture(
        "lwsdisp", "3.1.1.6", "answered",
        _message(_OPTIONS, sender="From: caller<sip:caller@127.0.0.1>;tag={id}"),
    ),
    Torture(
        "longreq", "3.1.1.7", "answered",
        _message(
            _INVITE,
            to=f'To: "I have a user name of extreme proportion" <sip:user@127.0.0.1:6000;'
            f"unknownparam1={_LONG};longparam{_LONG}=shortvalue;{_LONG}ParameterName>",
            sender=f"From: sip:{_LONG}@127.0.0.1;tag={{id}}{_LONG};unknownheaderparam={_LONG}",
            call_id=f"Call-ID: {{id}}{_LONG}",
            more="Unknown-Long-Header: " + _LONG * 5 + "\n"
            + "".join(f"Via: SIP/2.0/TCP sip{n}.example.com\n" for n in range(33, 0, -1)),
            contact=f"Contact: <sip:{_LONG}@{{via}}>",
            kind=_TYPE,
        ),
        _BODY,
    ),
    Torture(
        "dblreq", "3.1.1.8", "not accepted",
        _message(_REGISTER, contact="Contact: sip:j.user@{via}"),
        _message(_INVITE).replace(b"{via}", b"127.0.0.1").replace(b"\n", b"\r\n") + b"\r\n",
        length="0",
    ),
    Torture(
        "semiuri", "3.1.1.9", "answered",
        _message("OPTIONS sip:user;par=u%40example.net@127.0.0.1 SIP/2.0"),
    ),
    Torture(
        "transports", "3.1.1.10", "answered",
        _message(
            _OPTIONS,
            more="Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKkl\n"
            "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bKkm\n"
            "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKkn",
        ),
    ),
    Torture(
        "mpart01", "3.1.1.11", "not accepted",
        _message(
            "MESSAGE sip:kumiko@127.0.0.1 SIP/2.0",
            kind="multipart/mixed;boundary=7a9cbec02ceef655",
        ),
        b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n--7a9cbec02ceef655\r\n"
        b"Content-Type: application/octet-stream\r\n\r\n" + bytes(range(256))
        + b"\r\n--7a9cbec02ceef655--\r\n",
    ),
    Torture(
        "unreason", "3.1.1.12", "not accepted",
        _message(
            "SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e \u0434\u0435\u0432",
            cseq="CSeq: 35 INVITE",
        ),
    ),
    Torture(
        "noreason", "3.1.1.13", "not accepted",
        _message("SIP/2.0 100 ", cseq="CSeq: 35 INVITE"),
    ),
    # --- 3.1.2 invalid messages ---
    Torture(
        "badinv01", "3.1.2.1", "anything",
        _message(
            _INVITE,
            via="Via: SIP/2.0/UDP {via};;,;,,;branch=z9hG4bK{id}",
            contact='Contact: "Joe" <sip:joe@{via}>;;;;',
            kind=_TYPE,
        ),
        _BODY,
    ),
    Torture("clerr", "3.1.2.2", "not accepted", _message(_INVITE, kind=_TYPE), _BODY, "9999"),
    Torture("ncl", "3.1.2.3", "not accepted", _message(_INVITE, kind=_TYPE), _BODY, "-999"),
    Torture(
        "scalar02", "3.1.2.4", "not accepted",
        _message(
            _REGISTER,
            cseq="CSeq: 36893488147419103232 REGISTER",
            forwards="Max-Forwards: 300",
            contact="Contact: <sip:user@{via}>;expires=280297596632815",
            more="Expires: 10000000000000000000000000000000000000000000000000000000000000000",
        ),
    ),
    Torture(
        "scalarlg", "3.1.2.5", "not accepted",
        _message(
            "SIP/2.0 503 Service Unavailable",
            cseq="CSeq: 9292394834772304023312 OPTIONS",
            more="Retry-After: 949302838503028349304023988\nWarning: 1812 overture \"In Progress\"",
        ),
    ),
    Torture(
        "quotbal", "3.1.2.6", "anything",
        _message(_INVITE, to='To: "Mr. J. User <sip:j.user@127.0.0.1>', kind=_TYPE),
        _BODY,
    ),
    Torture(
        "ltgtruri", "3.1.2.7", "not accepted",
        _message("INVITE <sip:user@127.0.0.1> SIP/2.0", cseq="CSeq: 1 INVITE", kind=_TYPE),
        _BODY,
    ),
    Torture(
        "lwsruri", "3.1.2.8", "not accepted",
        _message("INVITE sip:user@127.0.0.1; lr SIP/2.0", kind=_TYPE),
        _BODY,
    ),
    Torture(
        "lwsstart", "3.1.2.9", "not accepted",
        _message("INVITE  sip:user@127.0.0.1  SIP/2.0", kind=_TYPE),
        _BODY,
    ),
    Torture("trws", "3.1.2.10", "anything", _message("OPTIONS sip:user@127.0.0.1 SIP/2.0  ")),
    Torture(
        "escruri", "3.1.2.11", "anything",
        _message(
            "INVITE sip:user@127.0.0.1?Route=%3Csip:example.com%3E SIP/2.0", kind=_TYPE
        ),
        _BODY,
    ),
    Torture(
        "baddate", "3.1.2.12", "anything",
        _message(_INVITE, more="Date: Fri, 01 Jan 2010 16:00:00 EST", kind=_TYPE),
        _BODY,
    ),
    Torture(
        "regbadct", "3.1.2.13", "not accepted",
        _message(_REGISTER, contact="Contact: sip:user@{via}?Route=%3Csip:sip.example.com%3E"),
    ),
    Torture(
        "badaspec", "3.1.2.14", "anything",
        _message(
            "OPTIONS sip:user@127.0.0.1 SIP/2.0",
            to='To: "Watson, Thomas" < sip:t.watson@127.0.0.1 >',
            sender='From: "Bell, Alexander" <sip:a.g.bell@127.0.0.1 >;tag={id}',
        ),
    ),
    Torture(
        "baddn", "3.1.2.15", "anything",
        _message(_OPTIONS, sender="From: Bell, Alexander <sip:a.g.bell@127.0.0.1>;tag={id}"),
    ),
    Torture(
        "badvers", "3.1.2.16", "not accepted",
        _message(
            "OPTIONS sip:t.watson@127.0.0.1 SIP/7.0",
            via="Via: SIP/7.0/UDP {via};branch=z9hG4bK{id}",
        ),
    ),
    Torture(
        "mismatch01", "3.1.2.17", "not accepted", _message(_OPTIONS, cseq="CSeq: 8 INVITE")
    ),
    Torture(
        "mismatch02", "3.1.2.18", "not accepted",
        _message("NEWMETHOD sip:user@127.0.0.1 SIP/2.0", cseq="CSeq: 8 INVITE", kind=_TYPE),
        _BODY,
    ),
    Torture(
        "bigcode", "3.1.2.19", "not accepted",
        _message("SIP/2.0 4294967301 better not break the receiver", cseq="CSeq: 8 OPTIONS"),
    ),
    # --- 3.2 transaction layer ---
    Torture(
        "badbranch", "3.2.1", "anything",
        _message(_OPTIONS, via="Via: SIP/2.0/UDP {via};branch=z9hG4bK"),
    ),
    # --- 3.3 application layer ---
    Torture(
        "insuf", "3.3.1", "not accepted",
        _message(_INVITE, to="", sender="", call_id="", kind=_TYPE),
        _BODY,
    ),
    Torture("unkscm", "3.3.2", "anything", _message("OPTIONS nobodyKnowsThisScheme:x SIP/2.0")),
    Torture("novelsc", "3.3.3", "anything", _message("OPTIONS soap.beep://192.0.2.3:9 SIP/2.0")),
    Torture(
        "unksm2", "3.3.4", "not accepted",
        _message(
            _REGISTER,
            to="To: isbn:2983792873",
            sender="From: <http://www.example.com>;tag={id}",
            contact="Contact: <name:John_Smith>",
        ),
    ),
    Torture(
        "bext01", "3.3.5", "not accepted",
        _message(
            _INVITE,
            more="Require: nothingSupportsThis, nothingSupportsThisEither\n"
            "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis",
            kind=_TYPE,
        ),
        _BODY,
    ),
    Torture(
        "invut", "3.3.6", "anything",
        _message(_INVITE, kind="application/unknownformat"),
        b"<audio>\r\n <pcmu port=\"443\"/>\r\n</audio>\r\n",
    ),
    Torture(
        "regaut01", "3.3.7", "not accepted",
        _message(_REGISTER, more="Authorization: NoOneKnowsThisScheme opaque-data=here"),
    ),
    Torture(
        "multi01", "3.3.8", "anything",
        _message(
            _INVITE,
            cseq="CSeq: 5 INVITE\nCSeq: 59 INVITE",
            call_id="Call-ID: {id}\nCall-ID: {id}other",
            to="To: sip:user@127.0.0.1\nTo: sip:user@127.0.0.1:7000",
            sender="From: sip:a@127.0.0.1;tag={id}\nFrom: sip:b@127.0.0.1;tag={id}b",
            forwards="Max-Forwards: 70\nMax-Forwards: 5",
            kind=_TYPE + "\nContent-Type: application/sdp",
        ),
        _BODY,
    ),
    Torture(
        "mcl01", "3.3.9", "not accepted",
        _message(_OPTIONS, more="Content-Length: 13", cseq="CSeq: 2 OPTIONS"),
        b"There's no way to know how many octets are supposed to be here.\r\n",
        "5",
    ),
    Torture(
        "bcast", "3.3.10", "not accepted",
        _message(
            "SIP/2.0 200 OK",
            via="Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK{id}\n"
            "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK{id}2",
            cseq="CSeq: 1 INVITE",
        ),
        _BODY,
    ),
    Torture("zeromf", "3.3.11", "anything", _message(_OPTIONS, forwards="Max-Forwards: 0")),
    Torture(
        "cparam01", "3.3.12", "not accepted",
        _message(_REGISTER, contact="Contact: sip:+19725552222@{via};unknownparam"),
    ),
    Torture(
        "cparam02", "3.3.13", "not accepted",
        _message(_REGISTER, contact="Contact: <sip:+19725552222@{via};unknownparam>"),
    ),
    Torture(
        "regescrt", "3.3.14", "not accepted",
        _message(_REGISTER, contact="Contact: <sip:user@{via}?Route=%3Csip:sip.example.com%3E>"),
    ),
    Torture(
        "sdp01", "3.3.15", "anything",
        _message(_INVITE, more="Accept: text/nobodyKnowsThis", kind=_TYPE),
        _BODY,
    ),
    # --- 3.4 backward compatibility ---
    Torture(
        # The library refuses what has no tag in From: nobody of RFC 2543 is left to call us.
        "inv2543", "3.4.1", "anything",
        _message(
            _INVITE,
            to="To: <sip:user@127.0.0.1>",
            sender="From: <sip:caller@127.0.0.1>",
            via="Via: SIP/2.0/UDP {via}",
            contact="",
            forwards="",
            more="Record-Route: <sip:user@127.0.0.1;maddr=127.0.0.1>",
            kind=_TYPE,
        ),
        _BODY,
    ),
)  # fmt: skip
