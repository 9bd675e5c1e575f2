"""The recognizer: one process that holds the model and serves every worker over a Unix socket."""
