"""The bundle that every call leaves behind: `call.json`, `events.jsonl`, `audio.wav`."""
