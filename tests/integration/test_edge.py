"""Kamailio as we render it: where calls go, who may send them, what nobody may see."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import ssl
import stat
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.models import GatewayConfig
from gateway.errors import EdgeError, leaves
from gateway.probe.dialog import Dialog
from gateway.probe.sip_messages import Credentials, Message
from gateway.probe.transactions import open_sip_socket
from tests.support.edge import edge_config, make_certificate, needs_kamailio, running_edge, target
from tests.support.gateway_process import free_port
from tests.support.live_gateway import eventually
from tests.support.raw_sip import RawParty, status
from tests.support.sip_parties import Caller, caller, signed, silence, worker

pytestmark = needs_kamailio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "edge"


def test_calls_go_where_there_is_room_and_are_refused_when_there_is_none(folder: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(worker()) for _ in range(3)]
            edge = await stack.enter_async_context(
                running_edge(folder, [target(w.port, slots=2) for w in workers])
            )
            callers = [await stack.enter_async_context(caller(edge.port)) for _ in range(7)]
            for one in callers[:6]:
                assert (await one.call()).status == 200
            assert [len(w.got("INVITE")) for w in workers] == [2, 2, 2]
            refused = await callers[6].call()
            assert (refused.status, refused.get("Retry-After")) == (503, "5")
            # Hanging up goes to the right worker and makes room again.
            assert (await callers[0].ask("BYE")).status == 200
            assert sum((await edge.loads()).values()) == 5
            first = next(w for w in workers if w.got("BYE"))
            assert first.got("BYE")[0].get("Call-ID") == callers[0].dialog.call_id
            again = await stack.enter_async_context(caller(edge.port))
            assert (await again.call()).status == 200
            for one in (*callers[1:6], again):
                assert (await one.ask("BYE")).status == 200
            assert set((await edge.loads()).values()) == {0}

    asyncio.run(scenario())


def test_what_either_side_sees(folder: Path) -> None:
    async def scenario() -> None:
        async with worker() as one, running_edge(folder, [target(one.port)]) as edge:
            async with caller(edge.port) as phone:
                forged = (("X-Gateway-Source", "10.6.6.6:5060"), ("X-Gateway-Trunk", "carrier"))
                answer = await phone.call(forged)
                assert answer.status == 200
                host, port = phone.sip.address
                invite = one.got("INVITE")[0]
                assert invite.get_all("X-Gateway-Source") == [f"{host}:{port}"]
                assert not invite.get_all("X-Gateway-Trunk")
                # The caller sees the edge, and nothing of the worker but its media.
                heads = answer.serialise().partition(b"\r\n\r\n")[0].decode()
                assert f":{one.port}" not in heads
                assert f"127.0.0.1:{edge.port}" in answer.get("Record-Route")
                # Nobody answers an ACK, and the other process of Kamailio might overtake it.
                await eventually(lambda: one.got("ACK"), 5, "the ACK")
                assert (await phone.ask("INFO")).status == 200
                assert (await phone.ask("BYE")).status == 200
                assert [m.method for m in one.seen] == ["INVITE", "ACK", "INFO", "BYE"]
            # The worker may hang up, too.
            async with caller(edge.port) as phone:
                await phone.call()
                assert (await one.bye(one.got("INVITE")[1], edge.key)).status == 200
                assert [m.method for m in phone.seen] == ["BYE"]
                assert f":{one.port}" not in phone.seen[0].serialise().decode()

    asyncio.run(scenario())


def test_the_next_worker_when_one_is_silent_busy_or_full(folder: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            silent = await stack.enter_async_context(worker(status=-1))
            full = await stack.enter_async_context(worker(status=503))
            busy = await stack.enter_async_context(worker(status=486))
            good = await stack.enter_async_context(worker())
            # In this order: the load is equal, the last in the list comes first.
            chain = [good, busy, full, silent]
            config = edge_config(edge={"first_answer_ms": 600, "probe_s": 60})
            edge = await stack.enter_async_context(
                running_edge(folder, [target(w.port) for w in chain], config)
            )
            phone = await stack.enter_async_context(caller(edge.port))
            assert (await phone.call()).status == 200
            assert len(good.got("INVITE")) == 1
            assert (await edge.loads())[f"127.0.0.1:{good.port}"] == 1
            assert sum((await edge.loads()).values()) == 1
            # What the dialplan of a worker has refused is refused.
            for one in (silent, full, busy, good):
                one.status, one.headers = 486, (("X-Gateway-Final", "yes"),)
            other = await stack.enter_async_context(caller(edge.port))
            before = sum(len(w.got("INVITE")) for w in chain)
            answer = await other.call()
            assert answer.status == 486
            assert not answer.get_all("X-Gateway-Final")
            assert sum(len(w.got("INVITE")) for w in chain) == before + 1
            assert sum((await edge.loads()).values()) == 1

    asyncio.run(scenario())


def test_cancel(folder: Path) -> None:
    async def scenario() -> None:
        async with (
            worker(status=0) as one,
            running_edge(folder, [target(one.port)]) as edge,
            caller(edge.port) as phone,
            asyncio.TaskGroup() as group,
        ):
            calling = group.create_task(phone.call())
            await eventually(lambda: 180 in phone.provisional, 5, "it")
            assert (await phone.cancel()).status == 200
            assert (await calling).status == 487
            assert len(one.got("CANCEL")) == 1
            assert set((await edge.loads()).values()) == {0}

    asyncio.run(scenario())


def test_who_may_call(folder: Path) -> None:
    config = edge_config(
        sip={"allow_sources": ["127.0.0.1/32"], "users": {"alice": "wonder"}},
        edge={"untrusted_requests_per_s": 15},
    )

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(worker())
            edge = await stack.enter_async_context(running_edge(folder, [target(one.port)], config))

            async def phone(host: str) -> object:
                return await stack.enter_async_context(caller(edge.port, host))

            friend = await phone("127.0.0.1")
            assert (await friend.call()).status == 200
            stranger = await phone("127.0.0.2")
            challenge = await stranger.call()
            assert challenge.status == 401
            assert 'realm="voice-gateway"' in challenge.get("WWW-Authenticate")
            wrong = await (await phone("127.0.0.2")).call(credentials=Credentials("alice", "wrong"))
            assert wrong.status == 403
            nobody = Credentials("bob", "<null>")
            unknown = await (await phone("127.0.0.2")).call(credentials=nobody)
            assert unknown.status == 403
            right = await phone("127.0.0.2")
            answer = await right.call(credentials=Credentials("alice", "wonder"))
            assert answer.status == 200
            seen = one.got("INVITE")[-1]
            assert not seen.get_all("Authorization")
            assert seen.get("X-Gateway-Source").startswith("127.0.0.2:")
            assert (await right.ask("BYE")).status == 200

    asyncio.run(scenario())


def test_a_trunk_is_told_by_its_address_and_not_by_whom_it_calls(folder: Path) -> None:
    """The registered Contact tells apart trunks at one address, and only those."""
    servers = {"one": "127.0.0.8", "two": "127.0.0.9", "three": "127.0.0.9"}
    trunks = [
        {"name": name, "server": f"{address}:9", "user": f"user-{name}", "password": "p"}
        for name, address in servers.items()
    ]
    expected = {
        ("127.0.0.8", "one"): ("one", "user-one"),
        ("127.0.0.8", "two"): ("one", "two"),
        ("127.0.0.9", "two"): ("two", "user-two"),
        ("127.0.0.9", "three"): ("three", "user-three"),
        ("127.0.0.9", "one"): ("two", "one"),
    }

    async def scenario() -> None:
        async with (
            worker() as it,
            running_edge(folder, [target(it.port)], edge_config(trunks=trunks)) as edge,
        ):
            for (host, called), (trunk, number) in expected.items():
                async with caller(edge.port, host, called=called) as phone:
                    assert (await phone.call()).status == 200
                    invite = it.got("INVITE")[-1]
                    assert invite.get("X-Gateway-Trunk") == trunk
                    assert invite.uri.startswith(f"sip:{number}@")
                    assert (await phone.ask("BYE")).status == 200

    asyncio.run(scenario())


def test_what_the_edge_says_cannot_be_said_by_callers(folder: Path) -> None:
    smuggled = ("X-Gateway-Trunk: evil", "x-gateway-TRUNK : evil", "X-Gateway-Trunk:\r\n evil",
                "X-Gateway-Word: evil", "Subject: a\r\nX-Gateway-Source: evil")  # fmt: skip

    async def scenario() -> None:
        async with worker() as one, running_edge(folder, [target(one.port, slots=9)]) as edge:
            for header in smuggled:
                party = RawParty(edge.port, "127.0.0.1")
                answer = await asyncio.to_thread(party.final, party.message(extra=[header]))
                party.close()
                assert status(answer) == 200
                invite = one.got("INVITE")[-1]
                assert "evil" not in invite.serialise().decode()
                assert len(invite.get_all("X-Gateway-Source")) == 1
                assert len(invite.get_all("X-Gateway-Word")) == 1

    asyncio.run(scenario())


def test_users_and_trunks_come_and_go_while_it_runs(folder: Path) -> None:
    def config_of(user: str, trunk: str, port: int) -> GatewayConfig:
        return edge_config(
            sip={"port": port, "allow_sources": ["127.0.0.1/32"], "users": {user: "wonder"}},
            trunks=[{"name": trunk, "server": "127.0.0.9:9", "user": "u", "password": "p"}],
        )

    port = free_port()

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(worker())
            config = config_of("alice", "before", port)
            edge = await stack.enter_async_context(running_edge(folder, [target(one.port)], config))
            pid = edge.pid

            async def status(user: str) -> int:
                stranger = await stack.enter_async_context(caller(edge.port, "127.0.0.2"))
                return (await stranger.call(credentials=Credentials(user, "wonder"))).status

            async def accounts() -> list[str]:
                return [account["l_uuid"] for account in await edge.ask("uac.reg_dump") or ()]

            assert (await status("alice"), await status("bob")) == (200, 403)
            assert await accounts() == ["before"]
            await edge.edge.reconfigure(config_of("bob", "after", port))
            assert (await status("alice"), await status("bob")) == (403, 200)
            assert await accounts() == ["after"]
            assert edge.pid == pid

    asyncio.run(scenario())


def test_scanners_and_floods_hear_nothing_and_keep_nobody_out(folder: Path) -> None:
    config = edge_config(
        sip={"allow_sources": ["127.0.0.1/32"]}, edge={"untrusted_requests_per_s": 5}
    )

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(worker())
            edge = await stack.enter_async_context(running_edge(folder, [target(one.port)], config))
            hop = ("127.0.0.1", edge.port)
            scanner = await stack.enter_async_context(caller(edge.port, "127.0.0.3"))
            scanner.dialog.aim(f"sip:100@127.0.0.1:{edge.port}")
            probe = scanner.dialog.request("OPTIONS")
            sly = tuple((n, "friendly-scanner") if n == "User-Agent" else (n, v)
                        for n, v in probe.headers)  # fmt: skip
            assert await silence(scanner.sip, replace(probe, headers=sly), hop, 0.5)
            assert await silence(scanner.sip, scanner.dialog.request("OPTIONS"), hop, 0.5)

            flood = await stack.enter_async_context(caller(edge.port, "127.0.0.4"))
            flood.dialog.aim(f"sip:100@127.0.0.1:{edge.port}")
            answers: list[int] = []
            requests = [flood.dialog.request("INVITE") for _ in range(60)]
            going = [flood.sip.request(request, hop) for request in requests]
            friend = await stack.enter_async_context(caller(edge.port))
            assert (await friend.call()).status == 200
            for transaction in going:
                transaction.stop()
            answers = [1 for transaction in going if transaction.is_done]
            assert len(answers) < 30
            stranger = flood.dialog.request("INVITE")
            assert await silence(flood.sip, stranger, hop, 0.5)
            assert len(one.got("INVITE")) == 1

    asyncio.run(scenario())


def test_an_in_dialog_request_of_a_stranger_goes_nowhere_but_to_workers(folder: Path) -> None:
    async def scenario() -> None:
        async with (
            worker() as one,
            worker() as victim,
            running_edge(folder, [target(one.port)]) as edge,
            caller(edge.port) as phone,
        ):
            phone.dialog.target = f"sip:100@127.0.0.1:{victim.port}"
            phone.dialog.remote = "<sip:100@127.0.0.1>;tag=x"
            phone.dialog._routes = (f"<sip:127.0.0.1:{edge.port};lr>",)
            assert (await phone.ask("BYE")).status == 481
            assert not victim.seen

    asyncio.run(scenario())


def test_workers_come_and_go_while_calls_last(folder: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(worker())
            two = await stack.enter_async_context(worker())
            targets = [target(one.port, slots=2)]
            edge = await stack.enter_async_context(running_edge(folder, targets))
            first = await stack.enter_async_context(caller(edge.port))
            assert (await first.call()).status == 200
            pid = edge.pid

            # One more: the load of the first is still known.
            targets.append(target(two.port, slots=2))
            await edge.edge.show_workers(targets)
            assert sorted((await edge.loads()).values()) == [0, 1]
            second = await stack.enter_async_context(caller(edge.port))
            assert (await second.call()).status == 200
            assert len(two.got("INVITE")) == 1

            # The first drains: no new calls, the old one goes on.
            targets[0] = target(one.port, slots=2, use="closed")
            await edge.edge.show_workers(targets)
            third = await stack.enter_async_context(caller(edge.port))
            assert (await third.call()).status == 200
            assert len(one.got("INVITE")) == 1
            assert (await first.ask("INFO")).status == 200

            # It dies: its caller is told, the others hear nothing of it.
            await edge.edge.show_workers(targets[1:])
            await eventually(lambda: first.seen, 5, "it")
            assert [m.method for m in first.seen] == ["BYE"]
            assert not second.seen
            assert not third.seen
            assert (await second.ask("BYE")).status == 200
            assert edge.pid == pid

    asyncio.run(scenario())


def test_a_call_outlives_the_edge(folder: Path) -> None:
    async def scenario() -> None:
        async with (
            worker() as one,
            running_edge(folder, [target(one.port)]) as edge,
            caller(edge.port) as phone,
        ):
            assert (await phone.call()).status == 200
            edge.edge.is_up.clear()
            os.kill(edge.pid, signal.SIGKILL)
            await edge.back()
            assert (await phone.ask("INFO")).status == 200
            assert (await phone.ask("BYE")).status == 200
            assert one.got("BYE")
            async with caller(edge.port) as other:
                assert (await other.call()).status == 200

    asyncio.run(scenario())


def test_probes_find_who_is_down_and_who_drains(folder: Path) -> None:
    async def scenario() -> None:
        async with (
            worker() as good,
            worker(probe_status=503) as draining,
            worker(status=-1) as dead,
            running_edge(folder, [target(w.port) for w in (good, draining, dead)]) as edge,
        ):
            async with asyncio.timeout(20):
                while True:
                    records = (await edge.ask("dispatcher.list"))["RECORDS"]
                    states = {d["DEST"]["URI"].split(";")[0].rpartition(":")[2]: d["DEST"]["FLAGS"]
                              for d in records[0]["SET"]["TARGETS"]}  # fmt: skip
                    if states[str(draining.port)] == states[str(dead.port)] == "IP":
                        break
                    await asyncio.sleep(0.2)
            assert states[str(good.port)] == "AP"
            for _ in range(3):
                async with caller(edge.port) as phone:
                    assert (await phone.call()).status == 200
            assert len(good.got("INVITE")) == 3

    asyncio.run(scenario())


def test_callers_wait_when_all_slots_are_taken(folder: Path) -> None:
    config = edge_config(edge={"queue_s": 3})

    async def scenario() -> None:
        async with (
            worker() as one,
            running_edge(folder, [target(one.port, slots=1)], config) as edge,
            caller(edge.port) as first,
            caller(edge.port) as second,
            caller(edge.port) as third,
            caller(edge.port) as fourth,
            asyncio.TaskGroup() as group,
        ):
            assert (await first.call()).status == 200
            waiting = group.create_task(second.call())
            giving_up = group.create_task(third.call())
            await eventually(
                lambda: 182 in second.provisional and 182 in third.provisional, 3, "it"
            )
            assert (await third.cancel()).status == 200
            assert (await giving_up).status == 487
            assert (await first.ask("BYE")).status == 200
            assert (await waiting).status == 200
            refused = await fourth.call()
            assert 182 in fourth.provisional
            assert (refused.status, refused.get("Retry-After")) == (503, "5")
            assert (await second.ask("BYE")).status == 200

    asyncio.run(scenario())


def test_a_worker_that_refuses_after_all_gives_nobody_more_time_to_wait(folder: Path) -> None:
    """As after a restart of the edge, which counts calls from zero: it tries, and is refused."""
    config = edge_config(edge={"queue_s": 1})

    async def scenario() -> None:
        async with (
            worker(status=503) as one,
            running_edge(folder, [target(one.port)], config) as edge,
            caller(edge.port) as phone,
            caller(edge.port) as later,
        ):
            async with asyncio.timeout(10):
                refused = await phone.call()
            assert (refused.status, refused.get("Retry-After")) == (503, "5")
            assert phone.provisional.count(182) == 1
            assert 2 <= len(one.got("INVITE")) <= 8
            assert set((await edge.loads()).values()) == {0}
            one.status = 200
            # Nobody is left in the queue: this one does not wait.
            assert (await later.call()).status == 200
            assert 182 not in later.provisional

    asyncio.run(scenario())


def test_calls_of_strangers_take_no_known_caller_his_turn(folder: Path) -> None:
    config = edge_config(
        sip={"allow_sources": ["0.0.0.0/0"]},
        edge={
            "calls_per_s": 5,
            "untrusted_requests_per_s": 1000,
            "all_untrusted_requests_per_s": 1000,
        },
        trunks=[{"name": "carrier", "server": "127.0.0.9:9"}],
    )

    async def scenario() -> None:
        async with (
            worker() as one,
            running_edge(folder, [target(one.port, slots=1000)], config) as edge,
            asyncio.TaskGroup() as group,
        ):
            refused: list[int] = []

            async def strangers() -> None:
                while True:
                    async with caller(edge.port, "127.0.0.3") as stranger:
                        refused.append((await stranger.call()).status)

            flood = [group.create_task(strangers()) for _ in range(2)]
            for _ in range(4):
                await eventually(lambda: refused[-5:].count(503) == 5, 5, "a second used up")
                async with caller(edge.port, "127.0.0.9") as trunk:
                    assert (await trunk.call()).status == 200
                refused.clear()
            for task in flood:
                task.cancel()

    asyncio.run(scenario())


def test_only_so_many_wait(folder: Path) -> None:
    config = edge_config(edge={"queue_s": 3, "queue_length": 1})

    async def scenario() -> None:
        async with (
            worker() as one,
            running_edge(folder, [target(one.port, slots=1)], config) as edge,
            caller(edge.port) as first,
            caller(edge.port) as second,
            caller(edge.port) as third,
            asyncio.TaskGroup() as group,
        ):
            assert (await first.call()).status == 200
            waiting = group.create_task(second.call())
            await eventually(lambda: 182 in second.provisional, 3, "the queue")
            assert (await third.call()).status == 503
            assert 182 not in third.provisional
            assert (await first.ask("BYE")).status == 200
            assert (await waiting).status == 200

    asyncio.run(scenario())


def test_what_all_strangers_together_may_send(folder: Path) -> None:
    config = edge_config(
        sip={"allow_sources": ["127.0.0.1/32"]}, edge={"all_untrusted_requests_per_s": 5}
    )

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(worker())
            edge = await stack.enter_async_context(running_edge(folder, [target(one.port)], config))
            hop = ("127.0.0.1", edge.port)
            going = []
            for number in range(40):
                stranger = await stack.enter_async_context(
                    caller(edge.port, f"127.0.1.{number + 1}")
                )
                stranger.dialog.aim(f"sip:100@127.0.0.1:{edge.port}")
                going.append(stranger.sip.request(stranger.dialog.request("INVITE"), hop))
            friend = await stack.enter_async_context(caller(edge.port))
            assert (await friend.call()).status == 200
            answered = [transaction for transaction in going if transaction.is_done]
            for transaction in going:
                transaction.stop()
            assert 0 < len(answered) <= 10  # two seconds at most

    asyncio.run(scenario())


def test_who_guesses_passwords_is_shut_out(folder: Path) -> None:
    config = edge_config(
        sip={"users": {"alice": "wonder"}}, edge={"untrusted_requests_per_s": 1000, "ban_s": 1000}
    )

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(worker())
            edge = await stack.enter_async_context(running_edge(folder, [target(one.port)], config))

            async def attempt(password: str, host: str) -> int:
                async with asyncio.timeout(2), caller(edge.port, host) as phone:
                    return (await phone.call(credentials=Credentials("alice", password))).status

            assert [await attempt("wrong", "127.0.0.2") for _ in range(10)] == [403] * 10
            with pytest.raises(TimeoutError):
                await attempt("wrong", "127.0.0.2")
            with pytest.raises(TimeoutError):
                await attempt("wonder", "127.0.0.2")
            assert await attempt("wonder", "127.0.0.3") == 200

    asyncio.run(scenario())


def test_within_a_call_there_is_a_limit_too(folder: Path) -> None:
    config = edge_config(sip={"users": {"alice": "wonder"}})

    async def scenario() -> None:
        async with (
            worker() as one,
            running_edge(folder, [target(one.port)], config) as edge,
            caller(edge.port, "127.0.0.2") as phone,
        ):
            answer = await phone.call(credentials=Credentials("alice", "wonder"))
            assert answer.status == 200
            for _ in range(300):
                phone.sip.send(phone.dialog.request("INFO"), phone.edge)
            assert (await phone.ask("BYE")).status == 200  # it is sent again
            assert len(one.got("INFO")) <= 180  # three seconds at most

    asyncio.run(scenario())


def test_nobody_calls_out_from_a_workers_address_alone(folder: Path) -> None:
    """UDP addresses can be forged; what a worker sends is signed, and good for one call."""

    async def scenario() -> None:
        async with (
            worker() as one,
            worker() as carrier,
            running_edge(folder, [target(one.port)]) as edge,
        ):
            hop = ("127.0.0.1", edge.port)

            def invite(number: str) -> Message:
                dialog = Dialog(f"127.0.0.1:{one.port}", "worker")
                dialog.aim(f"sip:{number}@127.0.0.1:{carrier.port}")
                return dialog.request("INVITE")

            right = signed(invite("30"), edge.key)
            headers = right.headers
            elsewhere = replace(
                signed(invite("30"), edge.key), uri=f"sip:31@127.0.0.1:{carrier.port}"
            )
            # Longer than a buffer of the script: what it would hash is what was left there, which
            # in a process that has seen no request yet is known to everybody.
            long = invite("31")
            named = [h for h in long.headers if h[0] != "Call-ID"]
            word = ("X-Gateway-Word", hashlib.sha256(f"0 {long.uri}".encode()).hexdigest())
            long = replace(long, headers=(*named, ("Call-ID", "x" * 9000), word))
            for forged in (long, invite("31"), signed(invite("31"), "x"), elsewhere):
                await silence(one.sip, forged, hop, 0.5)
                assert not carrier.seen
            assert (await one.sip.request(right, hop).final()).status == 200
            assert len(carrier.got("INVITE")) == 1
            assert not carrier.seen[0].get_all("X-Gateway-Word")
            via = ("Via", f"SIP/2.0/UDP 127.0.0.1:{one.port};rport;branch=z9hG4bKagain")
            again = replace(right, headers=(via, *(h for h in headers if h[0] != "Via")))
            assert await silence(one.sip, again, hop, 0.5)
            assert len(carrier.got("INVITE")) == 1

            # Nor does a caller who knows his call send anything elsewhere in a worker's name.
            async with caller(edge.port) as phone:
                answer = await phone.call()
                victim = f"sip:31@127.0.0.1:{carrier.port}"
                dialog = Dialog(f"127.0.0.1:{one.port}", "caller")
                dialog.aim(victim)
                for method in ("BYE", "INVITE"):
                    request = phone.dialog.request(method)
                    forged = replace(request, uri=victim)
                    assert (await one.sip.request(forged, hop).final()).status == 481
                assert answer.status == 200
            assert len(carrier.got("INVITE")) == 1
            assert not carrier.got("BYE")

    asyncio.run(scenario())


def test_tls(folder: Path, tmp_path: Path) -> None:
    names = make_certificate(tmp_path)
    tls_port = free_port()
    config = edge_config(
        edge={"tls_certificate": names[0], "tls_key": names[1], "tls_port": tls_port}
    )

    async def scenario() -> None:
        context = ssl.create_default_context(cafile=str(names[0]))
        context.check_hostname = False
        async with worker() as one, running_edge(folder, [target(one.port)], config) as edge:
            reader, writer = await asyncio.open_connection("127.0.0.1", tls_port, ssl=context)
            assert writer.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}
            async with open_sip_socket() as sip:  # only its message builder is wanted
                phone = Caller(sip, ("127.0.0.1", tls_port))
                phone.dialog.aim(f"sip:100@127.0.0.1:{tls_port};transport=tls")
                request = phone.dialog.request("INVITE")
                writer.write(request.serialise().replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS"))
                async with asyncio.timeout(5):
                    text = b""
                    while b"SIP/2.0 200" not in text:
                        text += await reader.read(4096)
                assert f":{tls_port};transport=tls".encode() in text
                # The worker hangs up: that must come back over the same connection.
                ending = asyncio.ensure_future(one.bye(one.got("INVITE")[0], edge.key))
                async with asyncio.timeout(5):
                    while b"BYE " not in text:
                        text += await reader.read(4096)
                ending.cancel()
            writer.close()

    asyncio.run(scenario())


def test_nothing_secret_can_be_read_by_others(folder: Path) -> None:
    config = edge_config(
        sip={"users": {"alice": "wonder"}},
        trunks=[{"name": "t", "server": "127.0.0.1:9", "user": "u", "password": "trunk-pass"}],
    )

    def look(pid: int) -> None:
        modes = {p: stat.S_IMODE(p.stat().st_mode) for p in (folder, *folder.rglob("*"))}
        assert all(not mode & 0o077 for mode in modes.values()), modes
        assert b"trunk-pass" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        texts = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        assert b"wonder" not in b"".join(texts)

    async def scenario() -> None:
        async with running_edge(folder, [], config) as edge:
            await asyncio.to_thread(look, edge.pid)

    asyncio.run(scenario())


def test_files_that_kamailio_refuses(folder: Path) -> None:
    config = edge_config(sip={"users": {"a": "b"}})
    config = config.model_copy(update={"sip": config.sip.model_copy(update={"realm": 'a"b'})})

    async def scenario() -> None:
        async with running_edge(folder, [], config):
            pass

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(scenario())
    (error,) = leaves(caught.value)
    assert isinstance(error, EdgeError)
    assert "Kamailio refuses" in str(error)
    assert "parse error" in str(error)
