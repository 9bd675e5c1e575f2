#!/usr/bin/env bash
# Takes out of a virtual environment what no call ever touches.  trim.sh ENVIRONMENT
set -euo pipefail

site=$(echo "$1"/lib/python3.*/site-packages)
cd "$site"

# moonshine-voice and pipecat-ai are here for their model files; none of their code is imported.
find moonshine_voice -mindepth 1 -maxdepth 1 ! -name assets ! -name __init__.py -exec rm -rf {} +
: >moonshine_voice/__init__.py
rm -rf moonshine_voice.libs
find moonshine_voice/assets -mindepth 1 -maxdepth 1 ! -name tiny-en -exec rm -rf {} +
find pipecat -type f ! -name 'smart-turn-*.onnx' -delete
find pipecat -type d -empty -delete
# onnxruntime declares sympy for its tools, not for running models.
rm -rf sympy mpmath isympy.py
rm -rf pip pip-*.dist-info setuptools setuptools-*.dist-info pkg_resources
rm -rf numpy/tests numpy/*/tests numpy/*/*/tests
find . -name '*.pyi' -delete
rm -f "$1"/bin/pip* "$0"
