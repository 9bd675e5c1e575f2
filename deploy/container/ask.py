"""Asks the gateway of this container: `ask.py GET /readyz`.  Exit code 0 = it answered with 2xx.

Standard library only, and quick: probes run it every few seconds.  GATEWAY_METRICS_KEY (enough for
/readyz and /metrics), else GATEWAY_API_KEY is sent when it is set, GATEWAY_HTTP_PORT says where
(default 8080).
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 4.0


def main(method: str, path: str) -> int:
    """Ask, print the answer, give the exit code."""
    key = os.environ.get("GATEWAY_METRICS_KEY") or os.environ.get("GATEWAY_API_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    port = int(os.environ.get("GATEWAY_HTTP_PORT", "8080"))
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        sys.stdout.write(f"{answer.status} {answer.read(500).decode(errors='replace')}\n")
    except (OSError, HTTPException) as error:
        sys.stdout.write(f"no answer at port {port}: {error}\n")
        return 1
    finally:
        connection.close()
    return 0 if 200 <= answer.status < 300 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
