#!/usr/bin/env bash
# Makes .venv-tools, the environment of the Python tools, or adds to it: scripts/tools_env.sh [plot|convert]
#   plot     (default) matplotlib, for plot_metrics.py and plot_inspect.py
#   convert  torch and transformers, for converting models and for comparisons with them; torch is that of .venv
# Then, for example, .venv-tools/bin/python scripts/plot_metrics.py runs/a runs/b
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# > 1)) || [[ ${1:-plot} != plot && ${1:-plot} != convert ]]; then
  printf 'tools_env: error: unknown argument %s (scripts/tools_env.sh [plot|convert])\n' "${2:-$1}" >&2
  exit 1
fi
readonly GROUP=${1:-plot}
readonly PIP=(.venv-tools/bin/python -m pip --quiet --disable-pip-version-check install --no-input)

if ! .venv-tools/bin/python -m pip --version >/dev/null 2>&1; then
  python=python3
  [[ ! -x .venv/bin/python ]] || python=.venv/bin/python
  "$python" -m venv --clear .venv-tools
fi
if [[ $GROUP == plot ]]; then
  .venv-tools/bin/python -c 'import matplotlib, numpy' 2>/dev/null || "${PIP[@]}" 'matplotlib>=3.8,<4' numpy
  exit 0
fi
packages=(transformers==4.57.1 tokenizers==0.22.2 gguf==0.19.0 accelerate==1.15.0 safetensors==0.8.0 numpy)
# One torch for both environments, where they have the same Python: 4 GB less.
library=$(cd .venv-tools && echo lib/python3*/site-packages)
if [[ -d .venv/$library/torch ]]; then
  realpath ".venv/$library" >".venv-tools/$library/torch_of_venv.pth"
else
  packages+=(torch==2.11.0)
fi
"${PIP[@]}" "${packages[@]}"
