"""The outside caller: an independent SIP and RTP peer that speaks, listens and measures.

It shares no code with `gateway.sip`, so what it reports is an outsider's view, taken at its own
RTP edge.
"""
