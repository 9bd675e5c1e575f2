"""Google Cloud over gRPC: one channel for all calls of an engine, credentials, errors.

The libraries belong to the extra `google` and are imported with the first connection only: their
messages are used, and their channel, not their clients.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from gateway.installing import pip_install
from gateway.providers.contracts import ProviderSettings
from gateway.providers.kit import rules
from gateway.providers.kit.advice import Advice
from gateway.providers.kit.near import near_address
from gateway.threads import BlockingEngine

_INSTALL = pip_install('"google-cloud-speech>=2.41,<3" "google-cloud-texttospeech>=2.38,<3"')
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_NO_CREDENTIALS = (
    "no credentials: set credentials_file to the key file of a service account, or api_key, or make"
    " application default credentials (gcloud auth application-default login)"
)
_KINDS: dict[str, type[ProviderError]] = {
    "INVALID_ARGUMENT": ProviderRejected,
    "NOT_FOUND": ProviderRejected,
    "ALREADY_EXISTS": ProviderRejected,
    "PERMISSION_DENIED": ProviderRejected,
    "UNAUTHENTICATED": ProviderRejected,
    "FAILED_PRECONDITION": ProviderRejected,
    "OUT_OF_RANGE": ProviderRejected,
    "UNIMPLEMENTED": ProviderRejected,
    "RESOURCE_EXHAUSTED": RateLimited,
    "DEADLINE_EXCEEDED": ProviderTimeout,
}
"""By status; every other one may be gone with another try."""
_CURES = {
    "UNAUTHENTICATED": ": check credentials_file or api_key",
    "PERMISSION_DENIED": ": check the role of the account and that the API is enabled",
}
_KEEP_ALIVE_MS = 30_000


class GoogleSettings(ProviderSettings):
    """What recognizer and voice share."""

    credentials_file: Path | None = None
    """Key file (JSON) of a service account; none = `api_key`, else the application default
    credentials of this machine."""
    api_key: SecretStr = SecretStr("")
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+/?$")] | None = None
    """Another host than that of the region; `http://` only to this host or a private network."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0


class Stream(Protocol):
    """A call in progress: iterate it for the answers."""

    def __aiter__(self) -> AsyncIterator[Any]:
        """Yield answers.  Raises `grpc.aio.AioRpcError`."""

    def cancel(self) -> bool:
        """Stop it, and the meter with it."""

    async def code(self) -> object:
        """Wait until it is over; return its status."""


def missing() -> str:
    """Return what hinders the use of Google's libraries, empty when nothing does."""
    try:
        found = all(
            importlib.util.find_spec(name) is not None
            for name in ("grpc", "google.cloud.speech_v2", "google.cloud.texttospeech_v1")
        )
    except ModuleNotFoundError:
        found = False
    return "" if found else f"Google's packages are missing: {_INSTALL}"


def key_faults(settings: GoogleSettings) -> Iterator[Advice]:
    """Yield what cannot work in the credentials."""
    path = settings.credentials_file
    if path is not None and settings.api_key.get_secret_value():
        yield "api_key", "stands beside credentials_file: leave one of the two out"
    if path is not None and not path.is_file():
        yield "credentials_file", f"{path} is not there: name the key file of a service account"


class GoogleCloud:
    """The channel to one service.  Loop thread only."""

    def __init__(self, settings: GoogleSettings, host: str, messages: str) -> None:
        """Prepare; nothing is connected yet.

        Args:
            settings: of the engine.
            host: that has the service in the region, unless `base_url` names another.
            messages: module with the messages of the service.
        """
        self._messages = messages
        self._settings = settings
        self._url = urlsplit(settings.base_url or f"https://{host}")
        self._channel: Any = None
        self._opening: asyncio.Lock | None = None
        self.project = ""
        """That of the credentials, once there is a channel; empty = they name none."""

    async def connect(self) -> None:
        """Have a channel that is connected.  Raises ProviderError."""
        if self._opening is None:
            self._opening = asyncio.Lock()
        within_s = self._settings.connect_timeout_s
        try:
            async with self._opening:
                if self._channel is None:
                    self._channel = await self._open()
            async with asyncio.timeout(within_s):
                await self._channel.channel_ready()
        except TimeoutError:
            problem = f"no connection to {self._url.netloc} within {within_s:g} s"
            raise self.error(ProviderUnavailable, problem) from None

    def stream(self, method: str, requests: AsyncIterator[Any], answer: Any) -> Stream:  # noqa: ANN401 - a class that protobuf makes
        """Begin a call in both directions on the channel; what cannot be read is None.

        Args:
            method: its path, such as `/package.Service/Method`.
            requests: messages of protobuf; their end is the end of what is sent.
            answer: class of the answers.
        """
        call = self._channel.stream_stream(
            method, request_serializer=_serialized, response_deserializer=_reading(answer)
        )
        found: Stream = call(requests, metadata=self._metadata)
        return found

    async def ask(self, method: str, request: Any, answer: Any, within_s: float) -> Any:  # noqa: ANN401 - as `stream`
        """Return the answer to one request.  Raises ProviderError."""
        import grpc  # noqa: PLC0415 - of an extra

        call = self._channel.unary_unary(
            method, request_serializer=_serialized, response_deserializer=_reading(answer)
        )
        try:
            return await call(request, timeout=within_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self.translated(error) from error

    @property
    def _metadata(self) -> list[tuple[str, str]] | None:
        key = self._settings.api_key.get_secret_value()
        return [("x-goog-api-key", key)] if key else None

    async def close(self) -> None:
        """Close the channel.  Idempotent."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def translated(self, error: Exception) -> ProviderError:
        """Return our error for one of gRPC's."""
        code = getattr(error, "code", lambda: None)()
        name = getattr(code, "name", "UNKNOWN")
        details = str(getattr(error, "details", lambda: "")() or error)
        kind = _KINDS.get(name, ProviderUnavailable)
        if name == "RESOURCE_EXHAUSTED":
            kind = rules.kind_of_limit(details) or kind
        return self.error(kind, f"{name}: {details}{_CURES.get(name, '')}")

    def unreadable(self) -> ProviderError:
        """Return the error for an answer that is None."""
        return self.error(ProviderProtocolError, "what came is no message of the protocol")

    def error(self, kind: type[ProviderError], problem: str) -> ProviderError:
        """Make an error of one line without the key."""
        hidden = rules.without_secrets(problem, [self._settings.api_key.get_secret_value()])
        return kind("google", " ".join(hidden.split())[:300])

    async def _open(self) -> Any:  # noqa: ANN401 - grpc has no types
        if hindrance := missing():
            raise self.error(ProviderUnavailable, hindrance)
        engine = BlockingEngine("google")  # it imports, reads files and may ask a server
        try:
            await engine.call(_imported, self._messages)
            from grpc import aio  # noqa: PLC0415 - of an extra

            options = [("grpc.keepalive_time_ms", _KEEP_ALIVE_MS)]
            if self._url.scheme == "http":
                return aio.insecure_channel(await self._near(), options=options)
            credentials, self.project = await engine.call(self._credentials)
        finally:
            engine.close()
        where = f"{self._url.hostname}:{self._url.port or 443}"
        return aio.secure_channel(where, credentials, options=options)

    async def _near(self) -> str:
        host, port = self._url.hostname or "", self._url.port or 80
        try:
            address = await near_address(host, port)
        except OSError as error:
            problem = f"no connection: {error.strerror or error}"
            raise self.error(ProviderUnavailable, problem) from error
        if not address:
            problem = f"http:// to {host} would send keys and audio unprotected: use https://"
            raise self.error(ProviderRejected, problem)
        return f"{address}:{port}"

    def _credentials(self) -> tuple[Any, str]:
        """Return the credentials of a channel and their project; blocks."""
        import google.auth  # noqa: PLC0415 - of an extra
        import grpc  # noqa: PLC0415
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        from google.auth.transport.grpc import AuthMetadataPlugin  # noqa: PLC0415
        from google.auth.transport.requests import Request  # noqa: PLC0415
        from google.oauth2 import service_account  # noqa: PLC0415

        secure = grpc.ssl_channel_credentials()
        if self._settings.api_key.get_secret_value():
            return secure, ""
        path = self._settings.credentials_file
        try:
            if path is not None:
                found = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                    str(path), scopes=[_SCOPE]
                )
                project = found.project_id
            else:
                found, project = google.auth.default(scopes=[_SCOPE])
        except (GoogleAuthError, OSError, ValueError) as error:
            where = f"credentials_file {path}: {error}" if path else _NO_CREDENTIALS
            raise self.error(ProviderRejected, where) from error
        plugin = AuthMetadataPlugin(found, Request())  # type: ignore[no-untyped-call]
        tokens = grpc.metadata_call_credentials(plugin)
        return grpc.composite_channel_credentials(secure, tokens), project or ""


def _serialized(message: Any) -> bytes:  # noqa: ANN401 - protobuf has no types
    found: bytes = message.SerializeToString()
    return found


def _reading(answer: Any) -> Callable[[bytes], Any]:  # noqa: ANN401 - as above
    """Return what reads answers; gRPC itself would only log what is wrong with one."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - of an extra

    def read(raw: bytes) -> Any:  # noqa: ANN401
        try:
            return answer.FromString(raw)
        except DecodeError:
            return None

    return read


def _imported(messages: str) -> None:
    """Import what takes half a second; what gRPC tells of each call is of no use in our log."""
    importlib.import_module("grpc.aio")
    importlib.import_module(messages)
    logging.getLogger("grpc").setLevel(logging.WARNING)
