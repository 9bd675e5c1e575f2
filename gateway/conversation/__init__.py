"""One call's talk, in asyncio.  Knows neither SIP nor any provider by name."""
