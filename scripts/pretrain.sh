#!/usr/bin/env bash
# Pretraining of one model (reconstruction and completion): scripts/pretrain.sh [--dry-run] MODEL [key=value ..]
#
# Trains configs/MODEL/pretrain.yaml in runs/MODEL/pretrain. The same command continues where it stopped; the exit
# status is shine_train's: 0 done, 75 stopped by a signal or a limit (run it again), anything else an error.
# RUN=NAME in the environment: in runs/MODEL-NAME instead of runs/MODEL, for another seed or setting.
# RANKS=N in the environment: N ranks on this machine share the work, the optimizer.accumulation micro-batches of a step.
# Where that is less than N, smaller ones make the same step:
# RANKS=2 scripts/pretrain.sh tiny-world optimizer.batch_size=16 optimizer.accumulation=2
# A relative path in key=value begins in the folder that the script is called in, one in a YAML file in the repository.
# --dry-run prints the command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/launch.sh

# Overrides of the YAML file, such as "data.train=[/data/texts.jsonl]"; those of the command line
# come after them.
OVERRIDES=()

parse_arguments "$@"
run_stage pretrain "" "${OVERRIDES[@]}" "${ARGUMENTS[@]}"
