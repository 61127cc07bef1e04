#!/usr/bin/env bash
# Makes .venv-tools, the environment of the Python scripts that draw: scripts/tools_env.sh. Then, for example,
# .venv-tools/bin/python scripts/plot_metrics.py runs/a runs/b
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# > 0)); then
  printf 'tools_env: error: unknown argument %s (scripts/tools_env.sh takes none)\n' "$1" >&2
  exit 1
fi
if ! .venv-tools/bin/python -m pip --version >/dev/null 2>&1; then
  python3 -m venv --clear .venv-tools
fi
.venv-tools/bin/python -c 'import matplotlib, numpy' 2>/dev/null ||
  .venv-tools/bin/python -m pip --quiet --disable-pip-version-check install --no-input 'matplotlib>=3.8,<4' numpy
