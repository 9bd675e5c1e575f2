"""`gateway key new`: make an API key; it is shown once, the configuration keeps its hash."""

from __future__ import annotations

import sys

from gateway.api_keys import KEY_ENV, hash_of, new_key


def run() -> int:
    """Print a new key and what to write into gateway.toml."""
    key = new_key()
    sys.stdout.write(
        f"key:   {key}\n"
        f"hash:  {hash_of(key)}\n\n"
        "The key is shown only now.  Write the hash into gateway.toml:\n\n"
        f'  [http]\n  api_keys = ["{hash_of(key)}"]\n\n'
        "A key in read_keys may only read; one in metrics_keys only /metrics and /readyz.\n"
        f"Clients send `Authorization: Bearer KEY`; `gateway` commands read it from {KEY_ENV}.\n"
    )
    return 0
