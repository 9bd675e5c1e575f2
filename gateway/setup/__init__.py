"""The checked configuration that a gateway runs with: files, engines and dialplan read together."""
