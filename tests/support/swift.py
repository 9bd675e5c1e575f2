"""A real S3 store of a test's own: OpenStack Swift with its S3 API, from Debian's packages.

It is what several public clouds run: it checks signatures, keeps objects on disk and answers as
S3 does.  Four processes on ports of 127.0.0.1.
"""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import S3Store

ACCESS_KEY, SECRET_KEY = "test:tester", "testing"
_BACKENDS = ("account", "container", "object")

_COMMON = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/srv
mount_check = false
log_level = ERROR
"""
_BACKEND = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
_PROXY = """
[pipeline:main]
pipeline = catch_errors cache listing_formats s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
"""
_RINGS = """
import sys
from swift.common.ring import RingBuilder
for name, port in (word.split(":") for word in sys.argv[1:]):
    builder = RingBuilder(2, 1, 0)
    where = {"ip": "127.0.0.1", "port": int(port), "device": "disk"}
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "meta": "", **where})
    builder.rebalance()
    builder.get_ring().save(name + ".ring.gz")
"""


class Swift:
    """A store with no buckets; `start` and `stop` the way in as often as you like."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: _free_port() for name in (*_BACKENDS, "proxy")}
        self._proxy: subprocess.Popen[bytes] | None = None
        (folder / "srv" / "disk").mkdir(parents=True)
        policy = "[storage-policy:0]\nname = only\ndefault = yes\n"
        (folder / "swift.conf").write_text(f"[swift-hash]\nswift_hash_path_suffix = test\n{policy}")
        self._make_rings()
        for name in _BACKENDS:
            self._configure(name, _BACKEND.format(name=name))
        self._configure("proxy", _PROXY)
        self._backends = [self._spawn(name) for name in _BACKENDS]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['proxy']}"

    def new_bucket(self, name: str) -> str:
        """Make a bucket and give the URL of a prefix in it."""
        store = self.store(name)
        url = obstore.sign(store, "PUT", "", expires_in=timedelta(minutes=5))
        for _ in range(100):  # the backends may still be starting
            if httpx.put(url, trust_env=False).status_code == 200:
                return f"s3://{name}/calls?endpoint={self.endpoint}"
            time.sleep(0.2)
        pytest.fail("no bucket could be made")

    def store(self, bucket: str) -> S3Store:
        keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
        config = {"endpoint": self.endpoint, "region": "us-east-1", **keys}
        return S3Store(bucket, config=config, client_options={"allow_http": True})

    def objects(self, bucket: str) -> list[str]:
        return sorted(found["path"] for found in self.store(bucket).list().collect())

    def start(self) -> None:
        """Let clients in."""
        self._proxy = self._spawn("proxy")
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._ports["proxy"])):
                return
            time.sleep(0.1)
        pytest.fail("Swift did not start")

    def stop(self) -> None:
        """Let nobody in; what is stored stays."""
        if self._proxy is not None:
            self._proxy.kill()
            self._proxy.wait(10)
            self._proxy = None

    def close(self) -> None:
        self.stop()
        for process in self._backends:
            process.kill()
            process.wait(10)

    def _configure(self, name: str, rest: str) -> None:
        common = _COMMON.format(port=self._ports[name], user=getpass.getuser(), folder=self._folder)
        (self._folder / f"{name}.conf").write_text(common + rest)

    def _make_rings(self) -> None:
        """As `swift-ring-builder` does, which would take nine slow starts."""
        names = [f"{name}:{self._ports[name]}" for name in _BACKENDS]
        command = ["/usr/bin/python3", "-W", "ignore", "-c", _RINGS, *names]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=60)

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        command = [f"swift-{name}-server", str(self._folder / f"{name}.conf")]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd="/", **quiet)


@contextmanager
def running_swift(folder: Path) -> Iterator[Swift]:
    """Start one; skip where Debian's packages are not installed."""
    if shutil.which("swift-proxy-server") is None:
        names = " ".join(f"swift-{name}" for name in ("proxy", *_BACKENDS))
        pytest.skip(f"no S3 store here: apt-get install {names}")
    swift = Swift(folder)
    try:
        swift.start()
        yield swift
    finally:
        swift.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
