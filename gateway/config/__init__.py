"""Configuration: values, files, line numbers of faults."""
