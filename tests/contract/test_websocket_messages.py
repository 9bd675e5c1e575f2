"""What the provider kit accepts of a vendor, whom it trusts, and what it never shows."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.errors import ProviderProtocolError, ProviderRejected, ProviderUnavailable
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.websocket import Socket, connected
from tests.support.edge import make_certificate
from tests.support.vendor_double import KEY, VendorDouble

PCM = bytes(range(256)) * 40


def endpoint(url: str, **settings: object) -> Endpoint:
    headers = {"Authorization": SecretStr(f"Bearer {KEY}")}
    return Endpoint("acme", url, headers=headers, attempts=1, **settings)  # type: ignore[arg-type]


def run(test: Callable[[VendorDouble], Awaitable[None]], tls: ssl.SSLContext | None = None) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), VendorDouble(tls) as vendor:
            await test(vendor)
            await vendor.all_gone()

    asyncio.run(main())


async def answer(link: Socket) -> str | bytes:
    link.send_json({"say": "Good morning."})
    return await link.receive(5)


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message", ['{"a": "\\u00e9", "b": [1]}', '{"a": "é", "b": [1]}', '{"a":"é","b":[1]}'.encode()]
)
def test_json_is_read_from_text_and_from_binary_frames(message: str | bytes):
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = [message]
        async with connected(endpoint(vendor.url)) as link:
            assert link.parsed(await answer(link)) == {"a": "é", "b": [1]}

    run(test)


def test_json_is_sent_as_text_and_audio_as_it_is():
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = ["ok"]
        async with connected(endpoint(vendor.url)) as link:
            link.send(PCM)
            link.send_json({"say": "Grüß Gott", "flush": True})
            await link.receive(5)
        assert vendor.received == [PCM, '{"say":"Grüß Gott","flush":true}']

    run(test)


@pytest.mark.parametrize(
    "message",
    ["", "null", "[1]", '"text"', "{", "NaN", "[" * 100_000, "1" * 5000, b"\xff\xfe\x00", PCM],
    ids=lambda message: repr(message)[:12],
)
def test_what_is_no_json_object_is_an_error(message: str | bytes):
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = [message]
        with pytest.raises(ProviderProtocolError, match="a JSON object was expected") as caught:
            async with connected(endpoint(vendor.url)) as link:
                link.parsed(await answer(link))
        assert len(str(caught.value)) < 600

    run(test)


def test_audio_in_base64():
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = [json.dumps({"audio": base64.b64encode(PCM).decode(), "empty": ""})]
        async with connected(endpoint(vendor.url)) as link:
            found = link.parsed(await answer(link))
            assert link.decoded(found["audio"]) == PCM
            assert link.decoded(found["empty"]) == b""

    run(test)


@pytest.mark.parametrize(
    "value", ["AAA", "AAAA=", "AA=A", "A A A", "AAAA\n", "ÄÄÄÄ", "-_-_", None, 7, [], {"a": 1}]
)
def test_garbage_instead_of_base64(value: object):
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = [json.dumps({"audio": value})]
        with pytest.raises(ProviderProtocolError, match="base64 was expected"):
            async with connected(endpoint(vendor.url)) as link:
                link.decoded(link.parsed(await answer(link))["audio"])

    run(test)


@pytest.mark.parametrize("message", [bytes(16_000_000), "x" * 16_000_000], ids=["bytes", "text"])
def test_a_message_that_is_too_big_ends_the_connection_with_a_clear_error(message: str | bytes):
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = [message]
        with pytest.raises(ProviderProtocolError, match=r"acme: .* more than 4000000 bytes"):
            async with connected(endpoint(vendor.url)) as link:
                await answer(link)

    run(test)


def test_how_big_a_message_may_be_is_the_providers_choice():
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = [bytes(1001)]
        with pytest.raises(ProviderProtocolError, match="more than 1000 bytes"):
            async with connected(endpoint(vendor.url, most_message_bytes=1000)) as link:
                await answer(link)
        vendor.answers = [bytes(5_000_000)]
        async with connected(endpoint(vendor.url, most_message_bytes=5_000_000)) as link:
            assert await answer(link) == bytes(5_000_000)

    run(test)


def test_a_server_that_finds_our_message_too_big_is_told_apart():
    async def test(vendor: VendorDouble) -> None:
        with pytest.raises(ProviderProtocolError, match="1009 message too big"):  # noqa: PT012
            async with connected(endpoint(vendor.url)) as link:
                link.send(bytes(2_000_000))  # more than the double accepts
                await link.receive(5)

    run(test)


# --- whom it trusts -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, authority: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path_factory.mktemp("server"), authority))
    return context


def test_a_private_authority_is_trusted_where_it_is_named(tls, authority):
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = ["ok"]
        for _ in range(2):  # the second time it is loaded already
            async with connected(endpoint(vendor.url, tls_ca_file=authority[0])) as link:
                assert await answer(link) == "ok"

    run(test, tls)


def test_and_nowhere_else(tls):
    async def test(vendor: VendorDouble) -> None:
        with pytest.raises(ProviderRejected, match="certificate is not trusted"):
            async with connected(endpoint(vendor.url)):
                pass

    run(test, tls)


def test_another_private_authority_is_not_trusted(tls, tmp_path):
    other, _ = make_certificate(tmp_path)

    async def test(vendor: VendorDouble) -> None:
        with pytest.raises(ProviderRejected, match="certificate is not trusted"):
            async with connected(endpoint(vendor.url, tls_ca_file=other)):
                pass

    run(test, tls)


def test_the_certificate_must_be_of_the_host(tls, authority):
    async def test(vendor: VendorDouble) -> None:
        url = vendor.url.replace("localhost", "127.0.0.1")
        with pytest.raises(ProviderRejected, match=r"not trusted: .*127\.0\.0\.1"):
            async with connected(endpoint(url, tls_ca_file=authority[0])):
                pass

    run(test, tls)


def test_a_file_without_an_authority_is_named(tls, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")

    async def test(vendor: VendorDouble) -> None:
        for path in (empty, tmp_path / "missing.pem"):
            with pytest.raises(ProviderRejected, match=f"tls_ca_file {path}: "):
                async with connected(endpoint(vendor.url, tls_ca_file=path)):
                    pass

    run(test, tls)


def test_a_file_that_has_changed_is_read_again(tls, authority, tmp_path):
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(make_certificate(tmp_path / "other")[0].read_bytes())

    async def test(vendor: VendorDouble) -> None:
        vendor.answers = ["ok"]
        with pytest.raises(ProviderRejected):
            async with connected(endpoint(vendor.url, tls_ca_file=trusted)):
                pass
        trusted.write_bytes(authority[0].read_bytes())
        async with connected(endpoint(vendor.url, tls_ca_file=trusted)) as link:
            assert await answer(link) == "ok"

    run(test, tls)


def test_wss_to_a_server_without_tls():
    async def test(vendor: VendorDouble) -> None:
        with pytest.raises(ProviderUnavailable, match="no connection"):
            async with connected(endpoint(vendor.url.replace("ws://", "wss://"))):
                pass

    run(test)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_its_target_hears_nothing(status: int):
    async def test(vendor: VendorDouble) -> None:
        async with VendorDouble() as other:
            vendor.status, vendor.headers = HTTPStatus(status), {"Location": other.url}
            with pytest.raises(ProviderProtocolError, match=f"HTTP {status}: is base_url right"):
                async with connected(endpoint(vendor.url)):
                    pass
            assert other.attempts == 0

    run(test)


# --- what it never shows ------------------------------------------------------------------------


@pytest.mark.parametrize("offset", range(60, 81, 5))
def test_no_part_of_a_key_is_left_where_a_message_is_shortened(offset: int):
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = ["x" * offset + KEY]
        with pytest.raises(ProviderProtocolError) as caught:
            async with connected(endpoint(vendor.url)) as link:
                link.parsed(await answer(link))
        assert KEY[:4] not in shown(caught.value)

    run(test)


@pytest.mark.parametrize("offset", range(180, 201, 5))
def test_no_part_of_a_key_is_left_where_a_refusal_is_shortened(offset: int):
    async def test(vendor: VendorDouble) -> None:
        vendor.status, vendor.body = HTTPStatus.BAD_REQUEST, "x" * offset + KEY
        with pytest.raises(ProviderRejected) as caught:
            async with connected(endpoint(vendor.url)):
                pass
        assert KEY[:4] not in shown(caught.value)

    run(test)


def test_no_key_is_shown_of_garbage_in_a_field():
    async def test(vendor: VendorDouble) -> None:
        vendor.answers = [json.dumps({"audio": f"*{KEY}*", "list": [KEY]})]
        async with connected(endpoint(vendor.url)) as link:
            found = link.parsed(await answer(link))
            for value in found.values():
                with pytest.raises(ProviderProtocolError) as caught:
                    link.decoded(value)
                assert KEY not in shown(caught.value)

    run(test)
