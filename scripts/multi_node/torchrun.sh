#!/usr/bin/env bash
# Trains on the GPUs of several machines, by torchrun: scripts/multi_node/torchrun.sh [--dry-run] CONFIG [key=value ..]
#
# The same command on every machine, with the same MASTER; run.dir is on a disk that all of them see. The arguments are
# shine_train's. If the command ends on one machine, it ends on all; the same command goes on where it stopped. SIGINT,
# SIGTERM or SIGHUP to one of the scripts lets all ranks finish the step, save and end with status 75.
#
#   NODES       machines (2)
#   RANKS       ranks on each machine, one a GPU (8)
#   MASTER      HOST:PORT of one of the machines, a free port that the others can reach
#   JOB         a name that tells this job from others with the same MASTER (shine)
#
# --dry-run starts nothing and prints what every rank of every machine would do, on this machine alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
NODES=${NODES:-2} RANKS=${RANKS:-8} MASTER=${MASTER:-} JOB=${JOB:-shine}
source scripts/lib/launch.sh

parse_program_arguments scripts/multi_node/torchrun.sh "$@"
require_count NODES
require_count RANKS
[[ $MASTER =~ ^[^:]+:[0-9]+$ ]] || fail "MASTER=$MASTER is not HOST:PORT of one of the machines"

torchrun=$(find_torchrun)
LAUNCHER=("${torchrun:-torchrun}" --nnodes "$NODES" --nproc-per-node "$RANKS" --rdzv-backend c10d
  --rdzv-endpoint "$MASTER" --rdzv-id "$JOB" --max-restarts 0 --no-python scripts/lib/rank.sh)
command=("$BIN/shine_train" "${ARGUMENTS[0]}" "${THREAD_ARGUMENTS[@]}" "${ARGUMENTS[@]:1}")
print_command "${LAUNCHER[@]}" "${command[@]}"
if ((DRY_RUN)); then
  for ((rank = 0; rank < NODES * RANKS; ++rank)); do
    RANK=$rank WORLD_SIZE=$((NODES * RANKS)) LOCAL_RANK=$((rank % RANKS)) LOCAL_WORLD_SIZE=$RANKS \
      MASTER_ADDR=${MASTER%:*} MASTER_PORT=${MASTER##*:} TORCHELASTIC_USE_AGENT_STORE=True "${command[@]}" --dry-run
  done
  exit 0
fi
[[ -n $torchrun ]] || fail "torchrun is neither in PATH nor in .venv (scripts/setup.sh)"
run_ranks "${LAUNCHER[@]}" "${command[@]}"
