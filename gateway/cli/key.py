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
        "read_keys instead of api_keys: it may look, but not act; metrics_keys: /metrics only.\n"
        f"Clients send `Authorization: Bearer KEY`; our own commands take it from {KEY_ENV}.\n"
    )
    return 0
