"""A fuzzer for all that strangers can send: `python -m tests.fuzz --help`, or `make fuzz`."""
