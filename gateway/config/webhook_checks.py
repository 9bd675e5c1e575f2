"""Rules of `[[webhooks]]`.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.config.locate import KeyPath
from gateway.config.models import GatewayConfig, WebhookConfig
from gateway.webhooks.signature import key_of

_OURS = frozenset({
    "content-type", "content-length", "host", "webhook-id", "webhook-timestamp",
    "webhook-signature",
})  # fmt: skip


def webhook_faults(config: GatewayConfig) -> Iterator[tuple[KeyPath, str]]:
    """Yield every broken rule with the key it is about."""
    seen: set[str] = set()
    for index, webhook in enumerate(config.webhooks):
        for key, text in _faults(webhook):
            yield ("webhooks", index, *key), text
        if webhook.name in seen:
            yield ("webhooks", index, "name"), f'a receiver named "{webhook.name}" exists already'
        seen.add(webhook.name)


def _faults(webhook: WebhookConfig) -> Iterator[tuple[KeyPath, str]]:
    if fault := _url_fault(webhook.url):
        yield ("url",), fault
    try:
        key_of(webhook.secret.get_secret_value())
    except ValueError as error:
        yield ("secret",), str(error)
    if not webhook.events:
        yield ("events",), "must name at least one"
    elif len(set(webhook.events)) < len(webhook.events):
        yield ("events",), "names one twice"
    for name, value in webhook.headers.items():
        if name.lower() in _OURS:
            yield ("headers", name), "is set by the gateway"
        elif not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
            yield ("headers", name), "is no name of a header"
        elif not (value.get_secret_value().isascii() and value.get_secret_value().isprintable()):
            yield ("headers", name), "must be printable ASCII"


def _url_fault(text: str) -> str:
    try:
        url = urlsplit(text)
        host, _ = url.hostname or "", url.port
    except ValueError as error:
        return f"is no URL: {error}"
    if url.scheme not in ("http", "https") or not host:
        return 'must begin with "https://" and a host'
    if url.username or url.password:
        return "credentials go into headers (such as Authorization) or are replaced by secret"
    if url.scheme == "http" and not _is_near(host):
        return (
            "events would cross the network in clear: use https://"
            " (http:// is for this machine and private addresses)"
        )
    return ""


def _is_near(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_private
