#!/usr/bin/env bash
# The small world with several seeds, and one table over them: scripts/tiny_world_seeds.sh [SEED ..]
#
# Runs scripts/all.sh and scripts/evaluate.sh with each seed (42, 2 and 3 where none is given) in runs/tiny-world-seeds/N
# and joins what the tests found into runs/tiny-world-seeds/report. The same command continues where it stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[[ -f data/tiny-world/words.txt ]] || build/release/bin/shine_prepare tiny-world --output data/tiny-world
(($# > 0)) || set -- 42 2 3
unset RUN
folders=()
for seed in "$@"; do
  export SHINE_RUNS=runs/tiny-world-seeds/$seed
  scripts/all.sh tiny-world "run.seed=$seed"
  scripts/evaluate.sh tiny-world "run.seed=$seed"
  folders+=("$SHINE_RUNS"/tiny-world/*/evaluation/*)
done
exec python3 scripts/join_results.py "${folders[@]}" --output runs/tiny-world-seeds/report
