"""The offline brain: dialogues out of one TOML file.  Pure, apart from `loader`."""
