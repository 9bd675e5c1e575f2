"""A carrier that is spoken to over TLS only; what comes in the clear is kept, not answered."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.probe.sip_messages import Message, parse
from tests.support.carrier import Carrier
from tests.support.gateway_process import free_port

_STEP_S = 0.1
_HANDSHAKE_S = 5.0


class TlsCarrier(Carrier):
    """The carrier behind a certificate."""

    contact_suffix = ";transport=tls"

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(free_port())
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(_STEP_S)
        self.versions: list[str] = []
        """Of TLS, one per connection that was set up."""
        self.rejections: list[str] = []
        """Why handshakes have failed."""
        self.responses: list[Message] = []
        """To what we have sent."""
        self._links: list[ssl.SSLSocket] = []
        self._threads: list[threading.Thread] = []
        self._using = threading.Lock()
        """One connection may not be read and written at the same time."""

    def run(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                link, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(link,), daemon=True)
                self._threads.append(thread)
                thread.start()
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def send(self, message: Message) -> None:
        """Send a request over the newest connection."""
        with self._using:
            text = message.serialise().replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS", 1)
            self._links[-1].sendall(text)

    def came_in_the_clear(self) -> list[bytes]:
        """Datagrams to the same port since the last look."""
        found = []
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(65536))
        return found

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(_HANDSHAKE_S)
        try:
            link = self._context.wrap_socket(plain, server_side=True)
        except OSError as error:
            plain.close()
            self.rejections.append(str(error))
            return
        self.versions.append(link.version() or "")
        self._links.append(link)
        with link, suppress(OSError):
            for message in self._messages(link):
                if not message.method:
                    self.responses.append(message)
                elif answer := self._answer(message):
                    with self._using:
                        link.sendall(answer.serialise())

    def _messages(self, link: ssl.SSLSocket) -> Iterator[Message]:
        """Read whole messages until the other side closes or we stop."""
        data = b""
        while not self._over.is_set():
            if not link.pending() and not select.select([link], [], [], _STEP_S)[0]:
                continue
            with self._using:
                part = link.recv(65536)
            if not part:
                return
            data += part
            while (end := data.find(b"\r\n\r\n") + 4) >= 4:
                length = end + int(parse(data[:end]).get("Content-Length") or 0)
                if len(data) < length:
                    break
                yield parse(data[:length])
                data = data[length:]
