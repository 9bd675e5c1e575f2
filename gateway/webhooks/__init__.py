"""Webhooks: events of calls, sent to receivers: signed, in the order of each call, at least once.

What waits is in files below `records.directory` (`gateway.records.outbox`), so that a receiver that
is down, or a restart of the gateway, loses nothing.
"""
