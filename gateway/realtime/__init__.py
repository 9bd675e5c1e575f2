"""The realtime API: OpenAI's protocol in front of the conversation that telephone calls have, too.

`protocol` is the wire: events, items, settings.  `session` is the state of one session without I/O.
`line` and `transport` carry its audio, `link` ties both to a call; `websocket` is one way in.
"""
