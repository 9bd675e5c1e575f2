"""voice-gateway: a SIP user agent that gives a phone number to an AI agent."""

import os

__version__ = "0.1.0"

# onnxruntime (since 1.31, on Linux too) reports its use to its maker and keeps a device id in the
# home folder, unless this is set before it is loaded.  Nothing of ours leaves unasked.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# numpy's matrix library keeps a thread per core that spins after each product: a fifth of what
# recognition cost.  What is multiplied here is small.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
