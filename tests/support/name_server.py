"""A name server on the loopback, and commands that ask it."""

from __future__ import annotations

import threading
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from tests.support.plain_phone import udp_socket

SERVER = "127.53.53.54"


class NameServer(threading.Thread):
    """Answers what its table has, and that there is nothing else."""

    def __init__(self, table: dict[tuple[str, str], list[str]]) -> None:
        super().__init__(daemon=True)
        self._table = table
        self._socket = udp_socket(SERVER, 53)
        self._socket.settimeout(0.1)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                data, source = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            query = dns.message.from_wire(data)
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.RA | dns.flags.AA
            asked = query.question[0]
            kind = dns.rdatatype.to_text(asked.rdtype)
            if found := self._table.get((asked.name.to_text(omit_final_dot=True).lower(), kind)):
                reply.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, *found))
            self._socket.sendto(reply.to_wire(), source)

    def stop(self) -> None:
        self._over.set()
        self.join(10)
        self._socket.close()


def with_name_server(folder: Path) -> list[str]:
    """What runs a command that asks the name server (its resolv.conf goes into the folder)."""
    own = folder / "resolv.conf"
    own.write_text(f"nameserver {SERVER}\n")
    mounting = f'mount --bind {own} /etc/resolv.conf && exec "$@"'
    return ["unshare", "-m", "bash", "-c", mounting, "--"]
