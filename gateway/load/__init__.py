"""Load test: SIPp and measuring callers against a gateway, step by step until it saturates."""
