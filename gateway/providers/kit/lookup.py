"""HTTP requests to a vendor beside its WebSocket: keys checked, signed addresses asked for.

The rules are those of `kit.websocket`: errors of `gateway.errors` without secrets, no redirects,
and without TLS only to this host or a private network.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

import httpx2

from gateway.errors import (
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.kit import rules
from gateway.providers.kit.endpoint import Endpoint, plain
from gateway.providers.kit.near import near_address
from gateway.providers.kit.tls import client_context

_SHOWN_CHARACTERS = 200


class Lookup:
    """The HTTP side of a vendor, at the host of its WebSocket."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Keep host, headers and time limit; each request has its own path and query."""
        self._endpoint = endpoint
        self._client: httpx2.AsyncClient | None = None

    async def get(self, path: str, query: Mapping[str, str]) -> dict[str, object]:
        """Return the JSON object at an absolute path.

        Raises:
            ProviderError: no answer, a refusal, or no JSON object.
        """
        endpoint = self._endpoint
        try:
            response = await self._response(path, query)
        except httpx2.TimeoutException as error:
            problem = f"no answer within {endpoint.connect_timeout_s:g} s"
            raise endpoint.error(ProviderTimeout, problem) from error
        except (httpx2.HTTPError, OSError) as error:
            if words := _distrust(error):
                problem = f"the certificate is not trusted: {words}"
                raise endpoint.error(ProviderRejected, problem) from None
            problem = f"no connection: {str(error) or type(error).__name__}"
            raise endpoint.error(ProviderUnavailable, problem) from None
        if response.status_code != 200:
            kind = rules.kind_of_status(response.status_code, response.text)
            shown = response.text[:_SHOWN_CHARACTERS]
            raise endpoint.error(kind, rules.words_of_status(response.status_code, shown))
        try:
            value = response.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            came = repr(response.text[:80])
            problem = f"a JSON object was expected, this came: {came}: is base_url right?"
            raise endpoint.error(ProviderProtocolError, problem)
        return value

    async def close(self) -> None:
        """Close the connections.  Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _response(self, path: str, query: Mapping[str, str]) -> httpx2.Response:
        url = urlsplit(self._endpoint.url)
        headers = {name: plain(value) for name, value in self._endpoint.headers.items()}
        scheme, netloc = "https", url.netloc
        if url.scheme == "ws":
            headers["Host"] = url.netloc
            scheme, netloc = "http", await self._near(url.hostname or "", url.port or 80)
        if self._client is None:
            trust = await self._trust() if scheme == "https" else False
            patience_s = self._endpoint.connect_timeout_s
            self._client = httpx2.AsyncClient(timeout=patience_s, verify=trust)
        address = urlunsplit((scheme, netloc, path, "", ""))
        return await self._client.get(address, params=dict(query), headers=headers)

    async def _trust(self) -> ssl.SSLContext:
        try:
            return await client_context(self._endpoint.tls_ca_file)
        except OSError as error:
            problem = f"tls_ca_file {self._endpoint.tls_ca_file}: {error.strerror or error}"
            raise self._endpoint.error(ProviderRejected, problem) from error

    async def _near(self, host: str, port: int) -> str:
        """Return where to connect without TLS."""
        address = await near_address(host, port)
        if not address:
            problem = f"http:// to {host} would send keys unprotected: use wss://"
            raise self._endpoint.error(ProviderRejected, problem)
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _distrust(error: BaseException) -> str:
    """Return why a server is not trusted; empty = the error is of another kind."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return "" if cause is None else str(cause.verify_message)
