#!/usr/bin/env bash
# Configures (once) and builds one preset of CMakePresets.json: scripts/build.sh [release|debug|asan] [TARGET ..]
#
# Without TARGET everything: programs, tests and benchmarks. TARGET shine_programs is the programs alone, shine_train one
# of them. A terminal shows what is compiled; elsewhere there is a line of done / all objects every half minute, and the
# compiler's output only if something fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
  -h | --help)
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' scripts/build.sh
    exit 0
    ;;
esac
readonly PRESET=${1:-release}
readonly TARGETS=("${@:2}")
readonly SECONDS_BETWEEN_LINES=${SHINE_BUILD_LINE_SECONDS:-30}
readonly LOG=build/$PRESET/build.log
if [[ ! $PRESET =~ ^(release|debug|asan)$ ]]; then
  printf 'build: error: unknown preset %s: scripts/build.sh [release|debug|asan] [TARGET ..]\n' "$PRESET" >&2
  exit 1
fi
mkdir -p "build/$PRESET"

# Prints done / all every so often, as long as this script runs; ninja begins its lines with [done/all]. To wait it reads
# from a pipe that nobody writes to: a `sleep` would outlive it.
show_counts() {
  while kill -0 $$ 2>/dev/null; do
    read -rt "$SECONDS_BETWEEN_LINES" <> <(:) || true
    sed -nE 's/^\[([0-9]+)\/([0-9]+)\].*/build: \1 \/ \2 objects/p' "$LOG" | tail -n 1
  done
}

# Runs one step; a terminal sees it, elsewhere it is shown only if it fails.
step() {
  if [[ -t 1 ]]; then
    "$@"
    return
  fi
  : >"$LOG"
  show_counts &
  local counts=$! status=0
  trap "kill $counts 2>/dev/null || true" EXIT
  "$@" >"$LOG" 2>&1 </dev/null || status=$?
  trap - EXIT
  kill "$counts"
  wait "$counts" 2>/dev/null || true
  if ((status != 0)); then
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
step cmake --build --preset "$PRESET" ${TARGETS:+--target "${TARGETS[@]}"}
