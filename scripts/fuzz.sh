#!/usr/bin/env bash
# Runs fuzz targets for longer than the tests do, one after another:
#
#   scripts/fuzz.sh [TARGET ..] [-- RUNS]      # all targets, a million inputs each
#
# Set-up and build come first. Inputs that reach new code are kept in build/asan/fuzz/TARGET/corpus, so that the next run
# goes on from there; an input that breaks a target is left in build/asan/fuzz/TARGET and named at the end (status 1).
# To add the smallest set of these inputs that reaches as much to the committed corpus:
#
#   build/asan/bin/fuzz_TARGET -merge=1 tests/fuzz/corpus/TARGET build/asan/fuzz/TARGET/corpus
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=()
runs=1000000
while (($# > 0)); do
  if [[ $1 == -- ]]; then
    runs=${2:?"RUNS is missing behind --"}
    break
  fi
  targets+=("$1")
  shift
done
if ((${#targets[@]} == 0)); then
  mapfile -t targets < <(ls tests/fuzz/corpus)
fi

scripts/setup.sh
scripts/build.sh asan

broken=()
for target in "${targets[@]}"; do
  program=build/asan/bin/fuzz_$target
  if [[ ! -x $program ]]; then
    printf 'fuzz: no target %s; there are: %s\n' "$target" "$(ls -m tests/fuzz/corpus)" >&2
    exit 1
  fi
  folder=build/asan/fuzz/$target
  mkdir -p "$folder/corpus"
  options=(-runs="$runs" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$folder/" -print_final_stats=1)
  [[ ! -e tests/fuzz/dictionaries/$target.dict ]] || options+=(-dict="tests/fuzz/dictionaries/$target.dict")
  printf 'fuzz: %s\n' "$target"
  "$program" "${options[@]}" "$folder/corpus" "tests/fuzz/corpus/$target" </dev/null || broken+=("$folder")
done
if ((${#broken[@]} > 0)); then
  printf 'fuzz: inputs that broke a target are in %s\n' "${broken[*]}" >&2
  exit 1
fi
