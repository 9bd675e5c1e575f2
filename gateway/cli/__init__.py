"""The commands of `gateway`, one module each; `gateway/__main__.py` reads the command line."""
