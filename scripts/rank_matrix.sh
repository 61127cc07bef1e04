#!/usr/bin/env bash
# Trains every stage on 1, 2, 3 and 4 ranks, with the optimizer sharded and not, and holds losses and weights of ten
# steps against one process's; then the fixtures' ten steps over ranks: scripts/rank_matrix.sh [FIXTURE_FOLDER ..]
#
# Exit status 0 only if all agree to 1e-5. Needs the release build with its tests, and mpirun.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/launch.sh
has_mpirun || fail "no OpenMPI (Debian: openmpi-bin)"
fixtures=()
for fixture in "$@"; do fixtures+=("$(from_caller "$fixture")"); done
((${#fixtures[@]} > 0)) || fixtures=(tests/golden/fixtures/*/)

SHINE_RANK_MATRIX=1 "$BIN/shine_torch_integration_tests" --gtest_filter='TrainRanks.GiveTheLosses*EveryStage*'
for RANKS in 1 2 4; do
  select_launcher
  for form in "" --shard; do
    echo "fixtures on $RANKS ranks ${form:+sharded}"
    OMP_NUM_THREADS=1 "${LAUNCHER[@]}" "$BIN/shine_verify" --quiet $form "${fixtures[@]}"
  done
done
