#!/usr/bin/env bash
# Trains on the GPUs of several machines under Slurm, one task a GPU, from the repository's root:
# sbatch scripts/multi_node/slurm.sh CONFIG [key=value ..]
#
# The arguments are shine_train's; run.dir is on a disk that all machines see. Two minutes before its time is up the job
# gets SIGUSR1: the ranks finish the step, save and end with status 75, and the job goes back to the queue; the same for
# scancel --signal=USR1. Any other fault ends all ranks and the job. Change the sizes below, or give them to sbatch.
#
# scripts/multi_node/slurm.sh --dry-run CONFIG [key=value ..]   # needs no Slurm: what every rank would do

#SBATCH --job-name=shine
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
# Slurm runs a copy of this file.
cd "${SLURM_SUBMIT_DIR:-$(dirname "${BASH_SOURCE[0]}")/../..}"
[[ -f scripts/lib/launch.sh ]] || { printf 'slurm: error: call sbatch in the root of the repository\n' >&2 && exit 1; }
RANKS=1 # srun starts them
source scripts/lib/launch.sh
NAME=slurm

parse_program_arguments scripts/multi_node/slurm.sh "$@"

# setting NAME: the value of an #SBATCH line.
setting() { sed -n "s/^#SBATCH --$1=//p" scripts/multi_node/slurm.sh; }
launcher=(srun --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-$(setting cpus-per-task)}")
command=("$BIN/shine_train" "${ARGUMENTS[0]}" "${THREAD_ARGUMENTS[@]}" "${ARGUMENTS[@]:1}")
print_command "${launcher[@]}" "${command[@]}"

if ((DRY_RUN)); then
  nodes=$(setting nodes) tasks=$(setting ntasks-per-node)
  for ((rank = 0; rank < nodes * tasks; ++rank)); do
    SLURM_JOB_ID=1 SLURM_STEP_ID=0 SLURM_PROCID=$rank SLURM_STEP_NUM_TASKS=$((nodes * tasks)) \
      SLURM_LOCALID=$((rank % tasks)) SLURM_NODEID=$((rank / tasks)) SLURM_STEP_TASKS_PER_NODE="$tasks(x$nodes)" \
      MASTER_ADDR=first-node MASTER_PORT=20001 "${command[@]}" --dry-run
  done
  exit 0
fi

[[ -n ${SLURM_JOB_ID:-} ]] || fail "this is no Slurm job: sbatch scripts/multi_node/slurm.sh CONFIG, or --dry-run"
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
export MASTER_ADDR=${hosts%%$'\n'*} MASTER_PORT=${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 10000))}

output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
"${launcher[@]}" "${command[@]}" 2>&1 | tee "$output" || status=${PIPESTATUS[0]}
((status != 0)) || exit 0
# The first rank that ends with 75 may have the others killed while they end: then srun gives 143 or 137, and only what
# that rank said last tells that it was stopped. 138: SIGUSR1 came before the ranks had begun to take it.
stopped='run the same command again to go on|stopped before training began: run again to start'
if ((status == 75 || status == 138)) || grep -qE "$stopped" "$output"; then
  scontrol requeue "$SLURM_JOB_ID"
  exit 75
fi
fail "srun ended with status $status (see above)" "$status"
