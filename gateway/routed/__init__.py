"""Engines behind a router: they satisfy the contracts of engines, so that no call knows of it.

`gateway/routing` decides, these ask the engines and report what came of it.
"""
