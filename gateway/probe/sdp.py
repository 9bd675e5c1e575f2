"""Session descriptions with one audio stream (RFC 8866, offer/answer RFC 3264).  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, cast

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_MIRROR: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
# RFC 3551 section 6: static payload types need no rtpmap.
STATIC_NAMES = {0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}
PAYLOAD_TYPES = {"PCMU": 0, "PCMA": 8}
TELEPHONE_EVENT = 101


class SdpError(ValueError):
    """A body that describes no usable audio stream."""


@dataclass(frozen=True, slots=True)
class AudioSession:
    """Where one side wants its audio, and as what."""

    address: str
    port: int
    payload_types: tuple[int, ...]
    """In order of preference, telephone-event among them."""
    names: dict[int, str] = field(default_factory=dict)
    """Payload type to `encoding/clock rate`."""
    direction: Direction = "sendrecv"
    version: int = 1
    """Of the o= line; grows with every change (RFC 3264 section 8)."""
    ptime_ms: int = 20
    """Audio per packet that this side would like to get."""

    @property
    def audio_payload_type(self) -> int:
        """The first payload type that is PCMU or PCMA.  Raises SdpError when there is none."""
        for number in self.payload_types:
            if self.encoding(number) in PAYLOAD_TYPES:
                return number
        raise SdpError(f"no PCMU or PCMA among {self.payload_types}")

    @property
    def event_payload_type(self) -> int | None:
        """The telephone-event payload type, if offered (RFC 4733)."""
        for number in self.payload_types:
            if self.encoding(number) == "TELEPHONE-EVENT":
                return number
        return None

    def encoding(self, payload_type: int) -> str:
        """Upper-case encoding name of a payload type, empty when unknown."""
        name = self.names.get(payload_type, STATIC_NAMES.get(payload_type, ""))
        return name.partition("/")[0].upper()


def offer(
    address: str,
    port: int,
    codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    *,
    direction: Direction = "sendrecv",
    version: int = 1,
    ptime_ms: int = 20,
) -> AudioSession:
    """Describe our side with the given codecs and RFC 4733 digits."""
    types = (*(PAYLOAD_TYPES[codec] for codec in codecs), TELEPHONE_EVENT)
    names = {number: STATIC_NAMES[number] for number in types if number in STATIC_NAMES}
    names[TELEPHONE_EVENT] = "telephone-event/8000"
    return AudioSession(address, port, types, names, direction, version, ptime_ms)


def answer(ours: AudioSession, theirs: AudioSession) -> AudioSession:
    """Answer an offer: its first codec that we speak, its event number, direction mirrored.

    Raises:
        SdpError: no common codec.
    """
    spoken = {ours.encoding(number) for number in ours.payload_types} & set(PAYLOAD_TYPES)
    common = [number for number in theirs.payload_types if theirs.encoding(number) in spoken]
    if not common:
        raise SdpError(f"no common codec: they offer {theirs.payload_types}")
    types = [common[0]]
    if theirs.event_payload_type is not None:
        types.append(theirs.event_payload_type)
    names = {n: theirs.names.get(n, STATIC_NAMES.get(n, "telephone-event/8000")) for n in types}
    direction = _MIRROR[theirs.direction]
    return replace(ours, payload_types=tuple(types), names=names, direction=direction)


def build(session: AudioSession) -> bytes:
    """Write the body of an INVITE or its answer."""
    numbers = " ".join(map(str, session.payload_types))
    lines = [
        "v=0",
        f"o=probe 1 {session.version} IN IP4 {session.address}",
        "s=-",
        f"c=IN IP4 {session.address}",
        "t=0 0",
        f"m=audio {session.port} RTP/AVP {numbers}",
        *(f"a=rtpmap:{number} {name}" for number, name in session.names.items()),
    ]
    if (events := session.event_payload_type) is not None:
        lines.append(f"a=fmtp:{events} 0-15")
    lines += [f"a=ptime:{session.ptime_ms}", f"a={session.direction}"]
    return "".join(f"{line}\r\n" for line in lines).encode()


def parse(body: bytes) -> AudioSession:
    """Read the first audio stream of a body.

    Raises:
        SdpError: no m=audio line, no address, or a number that is none.
    """
    fields: dict[str, str] = {}
    names: dict[int, str] = {}
    try:
        for line in _audio_lines(body):
            if line.startswith("a=rtpmap:"):
                number, _, name = line[9:].partition(" ")
                names[int(number)] = name.strip()
            elif line.startswith("a=") and line[2:].strip() in _DIRECTIONS:
                fields["direction"] = line[2:].strip()
            else:
                fields[line[:2]] = line[2:].strip()
        media, origin = fields["m="].split(), fields["o="].split()
        return AudioSession(
            address=fields["c="].split()[2],
            port=int(media[1]),
            payload_types=tuple(map(int, media[3:])),
            names=names,
            direction=cast("Direction", fields.get("direction", "sendrecv")),
            version=int(origin[2]),
        )
    except (KeyError, IndexError, ValueError) as error:
        raise SdpError(f"session description without usable audio: {error}") from error


def _audio_lines(body: bytes) -> list[str]:
    """Session-level lines, then those of the first audio stream (which override them)."""
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    audio = next((i for i in starts if lines[i].startswith("m=audio")), None)
    if audio is None:
        return []
    end = next((i for i in starts if i > audio), len(lines))
    return lines[: starts[0]] + lines[audio:end]
