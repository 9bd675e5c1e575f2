"""voice-gateway: a SIP user agent that gives a phone number to an AI agent."""

__version__ = "0.1.0"
