"""OpenAI's Realtime protocol as types: what clients send, what we send, items, settings.  Pure."""
