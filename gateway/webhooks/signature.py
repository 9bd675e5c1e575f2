"""Signatures by the Standard Webhooks specification 1.0 (standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
SHORTEST_SECRET = 24


def key_of(secret: str) -> bytes:
    """Return the bytes to sign with; raises ValueError with what is wrong with a secret."""
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError(f"what follows {PREFIX} must be base64") from None
        if len(key) < SHORTEST_SECRET:
            raise ValueError(f"must hold at least {SHORTEST_SECRET} bytes")
        return key
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(
            f"must be {PREFIX} and base64, or at least {SHORTEST_SECRET} characters"
            " (such as `openssl rand -hex 24` prints)"
        )
    return secret.encode()


def signed_headers(key: bytes, event_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove origin and time of a request.

    Args:
        key: see `key_of`.
        event_id: the same for every attempt.
        at_s: of this attempt, seconds since 1970.
        body: as it is sent.
    """
    signed = b"%s.%d.%s" % (event_id.encode(), at_s, body)
    digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{digest}",
    }
