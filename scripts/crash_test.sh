#!/usr/bin/env bash
# Kills training runs with SIGKILL and compares their ends with an undisturbed run: scripts/crash_test.sh N [OPTION ..]
# [key=value ..]
#
# N kills in all: one half of a run of one process, the other of a run of two ranks (by turns one rank, all ranks, mpirun
# itself; left out where there is no OpenMPI). A third of them comes while a checkpoint is written, the others at any
# instant. After each the same command goes on. The exit status is 0 only if every end is equal: weights, optimizer and
# random state byte for byte, state.json and metrics.jsonl but for their times. Every kill is a line of DIR/kills.txt.
#
#   --seed S         of the instants (default: another one each time; it is printed)
#   --dir DIR        default runs/crash-test; DIR/work is emptied, and kept where an end differs
#   --steps S        of a run (60: five seconds)
#   --processes K    only runs of K (1 or 2) processes
#
# Overrides are for the runs, such as optimizer.shard=true. Paths are relative to the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
RANKS=2
source scripts/lib/launch.sh
unset SHINE_PATHS_FROM

if [[ " $* " == *" -h "* || " $* " == *" --help "* ]]; then
  describe scripts/crash_test.sh
  exit 0
fi
[[ -x $BIN/shine_train ]] || fail "$BIN/shine_train is missing: run scripts/setup.sh && scripts/build.sh release shine_programs first"
command -v python3 >/dev/null || fail "python3 is missing"
launcher=''
if has_mpirun; then
  select_launcher
  launcher=$(printf '%q ' "${LAUNCHER[@]}")
fi
exec python3 scripts/lib/crash_test.py --program "$BIN/shine_train" --launcher "$launcher" "$@"
