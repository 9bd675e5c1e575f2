"""Which engine is asked, and when another one: decisions without I/O, on explicit time.

What asks the engines is `gateway/routed`.
"""
