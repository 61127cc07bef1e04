#!/usr/bin/env bash
# Set-up, build and all tests: those of the torch-free code under the address and undefined-behaviour sanitizers, then
# everything. Arguments go to ctest: scripts/test.sh -R Tokenizer
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Tests run side by side, one thread each (nproc would count OMP_NUM_THREADS).
jobs=$(env -u OMP_NUM_THREADS nproc)
readonly jobs
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

scripts/setup.sh
for preset in asan release; do
  scripts/build.sh "$preset"
  ctest --preset "$preset" -j "$jobs" "$@"
done
