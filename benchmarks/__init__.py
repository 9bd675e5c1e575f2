"""Measurements of the running gateway, taken by outside SIP callers at their RTP edge."""
