"""Endpoint: where a vendor is and how to connect.  Keys in it appear in no message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from gateway.errors import ProviderError
from gateway.providers.kit import rules

Text = str | SecretStr


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A message of the vendor's that keeps an idle connection open."""

    every_s: float
    """Sent when nothing else was sent for this long."""
    message: str | bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to connect."""

    provider: str
    """Named in errors."""
    url: str
    """`wss://`; `ws://` only to this host or a private network."""
    headers: Mapping[str, Text] = field(default_factory=dict)
    query: Sequence[tuple[str, Text]] = ()
    subprotocols: Sequence[str] = ()
    keep_alive: KeepAlive | None = None
    attempts: int = 3
    """To connect; only what is worth another try is tried again."""
    connect_timeout_s: float = 4.0
    """For one attempt."""
    most_unsent: int = 500
    """Messages that may wait to be sent: 10 s of audio in frames of 20 ms."""
    most_message_bytes: int = 4_000_000
    """Of one message from the server; a longer one ends the connection."""
    close_codes: Mapping[int, type[ProviderError]] = field(default_factory=dict)
    """Meanings of the vendor's own close codes."""
    tls_ca_file: Path | None = None
    """PEM file with the only authorities to trust a `wss://` server by; None = the system's."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any message."""
        values = (*self.headers.values(), *(value for _, value in self.query))
        hidden = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        return (*hidden, *(hidden_part.partition(" ")[2] for hidden_part in hidden))

    def full_url(self) -> str:
        """Return the URL with its query."""
        parts = urlsplit(self.url)
        query = urlencode([(key, plain(value)) for key, value in self.query], quote_via=quote)
        whole = "&".join(filter(None, (parts.query, query)))
        return urlunsplit(parts._replace(query=whole, fragment=""))

    def error(self, kind: type[ProviderError], problem: str) -> ProviderError:
        """Make an error without secrets, with what to do about it."""
        cure = rules.cure_of(kind, problem)
        return kind(self.provider, self.hidden(f"{problem}: {cure}" if cure else problem))

    def hidden(self, text: str) -> str:
        """Return a text without secrets: before it is shortened, or a part of one may be left."""
        return rules.without_secrets(text, self.secrets)


def plain(value: Text) -> str:
    """Return a header's or parameter's value, secret or not."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value
