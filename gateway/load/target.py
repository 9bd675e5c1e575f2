"""The target of the load: a SIP address, and the HTTP API behind it where there is one."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import httpx2

from gateway.errors import GatewayError
from gateway.load.plan import LoadError
from gateway.load.prometheus import Metrics, parse_metrics
from gateway.records.model import CallRecord

_URI = re.compile(
    r"sip:(?:([^@\s;]+)@)?([A-Za-z0-9.-]+)(?::(\d{1,5}))?(?:;transport=(udp|tcp))?", re.IGNORECASE
)
MOST_RECORDS = 400
"""How many calls of a step are read for their turns, the latest first."""
_PAGE = 50
"""The gateway is looked at for leaks afterwards: a large answer would look like one."""
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class SipTarget:
    """Where the calls go."""

    host: str
    port: int = 5060
    user: str = "service"
    transport: str = "udp"
    local_address: str = "127.0.0.1"
    """IPv4 address of ours from which it is reached."""

    @property
    def host_port(self) -> str:
        """As SIPp wants it."""
        return f"{self.host}:{self.port}"

    @property
    def uri(self) -> str:
        """As the measuring callers want it."""
        return f"sip:{self.user}@{self.host_port}"


def parse_target(text: str) -> SipTarget:
    """Read `sip:[user@]host[:port][;transport=tcp]`, without the address of ours.  Pure.

    Raises:
        LoadError: it is something else.
    """
    found = _URI.fullmatch(text)
    if found is None or not 0 < int(found[3] or 5060) < 65536:
        raise LoadError(f'not a target: "{text}"; write it like sip:service@127.0.0.1:5060')
    return SipTarget(
        host=found[2],
        port=int(found[3] or 5060),
        user=found[1] or "service",
        transport=(found[4] or "udp").lower(),
    )


def local_address_towards(target: SipTarget) -> str:
    """Find our IPv4 address on the way to a target; nothing is sent.

    Raises:
        LoadError: its name is not known, or there is no way.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.connect((target.host, target.port))
        except OSError as error:
            raise LoadError(f"cannot reach {target.host_port}: {error.strerror}") from error
        return str(udp.getsockname()[0])


class GatewayApi:
    """What the load test asks a gateway over HTTP."""

    def __init__(self, base_url: str, api_key: str = "") -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.base_url = base_url
        # The gateway is ours: no proxy is asked.
        self._client = httpx2.AsyncClient(
            base_url=base_url, headers=headers, timeout=_TIMEOUT_S, trust_env=False
        )

    async def metrics(self) -> Metrics:
        """Read `/metrics`.  Raises ApiError."""
        try:
            return parse_metrics((await self._get("/metrics")).text)
        except ValueError as error:
            raise ApiError(f"{self.base_url}/metrics is not Prometheus text: {error}") from error

    async def calls_since(self, start: datetime) -> list[CallRecord]:
        """Return finished calls that began after `start`, the latest 400.  Raises ApiError."""
        found: list[CallRecord] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < MOST_RECORDS:
            after = {"cursor": cursor} if cursor else {}
            query = {"active": "false", "limit": str(_PAGE), **after}
            page = (await self._get("/v1/calls", query)).json()
            cursor = page["next"]
            for call in page["calls"]:
                if datetime.fromisoformat(call["started_at"].replace("Z", "+00:00")) < start:
                    return found
                answer = await self._get(f"/v1/calls/{call['call_id']}")
                found.append(CallRecord.model_validate_json(answer.content))
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> httpx2.Response:
        try:
            answer = await self._client.get(path, params=query)
            answer.raise_for_status()
        except httpx2.HTTPError as error:
            raise ApiError(f"{self.base_url}{path}: {error}") from error
        return answer


class ApiError(GatewayError):
    """The gateway's HTTP API does not answer, or refuses."""
