"""The `script` language model: dialogues from one TOML file.  Pure, apart from `loader`."""
