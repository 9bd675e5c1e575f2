"""What the gateway's own recognizer makes of a whole recording: the words that no answer may miss.

Kept in `results/`, since each takes a tenth of its length to decode.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from benchmarks._report import RESULTS
from benchmarks.turns.corpus import Utterance
from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.recognizer.moonshine import MoonshineModel, model_folder

_CACHE = RESULTS / "turns-references.json"


def references(utterances: Sequence[Utterance]) -> dict[str, str]:
    """Text of each utterance by its name; what is known of it wins over recognition."""
    known: dict[str, str] = json.loads(_CACHE.read_text()) if _CACHE.is_file() else {}
    model: MoonshineModel | None = None
    found: dict[str, str] = {}
    for one in utterances:
        if one.text:
            found[one.name] = one.text
            continue
        key = hashlib.sha256(one.clean.tobytes()).hexdigest()[:16]
        if key not in known:
            model = model or MoonshineModel(model_folder())
            decoding = model.decode(decode_ulaw(encode_ulaw(one.clean.tobytes())))
            known[key] = decoding.text if decoding is not None else ""
        found[one.name] = known[key]
    if model is not None:
        RESULTS.mkdir(exist_ok=True)
        _CACHE.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return found
