#!/usr/bin/env bash
# Configures (once) and builds one preset of CMakePresets.json: scripts/build.sh [release|debug|asan]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# > 1)); then
  printf 'build: error: unknown argument %s: scripts/build.sh [release|debug|asan]\n' "$2" >&2
  exit 1
fi
readonly PRESET=${1:-release}
readonly LOG=build/$PRESET/build.log
mkdir -p "build/$PRESET"

# Runs one step; a terminal sees it, elsewhere it is shown only if it fails.
step() {
  if [[ -t 1 ]]; then
    "$@"
  elif ! "$@" >"$LOG" 2>&1 </dev/null; then
    cat "$LOG" >&2
    printf 'build: %s failed (see above)\n' "$*" >&2
    exit 1
  fi
}

[[ -t 1 || -e build/$PRESET/bin ]] || printf 'build: preset %s (the first time takes minutes)\n' "$PRESET"
# build.ninja is written only by a configure run that succeeded; ninja itself runs CMake again when its files changed.
if [[ ! -f build/$PRESET/build.ninja || CMakePresets.json -nt build/$PRESET/build.ninja ]]; then
  step cmake --preset "$PRESET"
fi
step cmake --build --preset "$PRESET"
