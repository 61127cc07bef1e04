#!/usr/bin/env bash
# Loads adapters that this project wrote into PEFT, MLX and llama.cpp and compares logits and greedy tokens:
# scripts/interop_test.sh. Makes .venv-interop (about 1 GB beside LibTorch's wheel, which is shared) and builds what it
# needs; the adapters are those of tests/interop/make_cases.cpp. KEEP=DIR keeps them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PACKAGES=('peft==0.21.2' 'transformers==5.24.0' 'safetensors' 'numpy' 'gguf==0.19.0'
  'xllamacpp==2026.10.11549' 'mlx[cpu]==0.32.4' 'mlx-lm==0.32.2')

if (($# > 0)); then
  printf 'interop_test: error: unknown argument %s (scripts/interop_test.sh takes none)\n' "$1" >&2
  exit 1
fi

make_environment() {
  local python=.venv-interop/bin/python packages
  packages=$(printf '%s\n' "${PACKAGES[@]}")
  [[ $(cat .venv-interop/packages.txt 2>/dev/null) != "$packages" ]] || return 0
  python3 -m venv --clear .venv-interop
  # LibTorch's wheel, which the programs were built with, holds PyTorch too.
  local site
  for site in "$PWD"/.venv/lib/python3*/site-packages; do
    printf '%s\n' "$site" >"$(echo .venv-interop/lib/python3*/site-packages)/torch_of_the_build.pth"
  done
  $python -m pip --quiet --disable-pip-version-check install --no-input "${PACKAGES[@]}"
  printf '%s\n' "$packages" >.venv-interop/packages.txt
}

scripts/setup.sh
make_environment
scripts/build.sh release make_cases shine_export
cases=${KEEP:-$(mktemp -d)}
[[ -n ${KEEP:-} ]] || trap 'rm -rf "$cases"' EXIT
build/release/bin/make_cases "$cases"
status=0
for check in check_peft check_mlx check_llama_cpp check_faults; do
  PYTHONDONTWRITEBYTECODE=1 .venv-interop/bin/python "scripts/interop/$check.py" "$cases" || status=1
done
exit "$status"
