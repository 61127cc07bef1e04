#!/usr/bin/env bash
# Instruction fine-tuning on one question a context: scripts/ift_1qa.sh [--dry-run] MODEL [key=value ..]
#
# Trains configs/MODEL/ift_1qa.yaml in runs/MODEL/ift_1qa from the weights of runs/MODEL/ift_mqa (from others:
# stage.init_from=DIR). The same command continues where it stopped; the exit status is shine_train's: 0 done, 75 stopped
# by a signal or a limit (run it again), anything else an error.
# RUN=NAME in the environment: in runs/MODEL-NAME instead of runs/MODEL, for another seed or setting.
# RANKS=N in the environment: N ranks on this machine share the work, as in pretrain.sh.
# A relative path in key=value begins in the folder that the script is called in, one in a YAML file in the repository.
# --dry-run prints the command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/launch.sh

# Overrides of the YAML file, such as "data.train=[/data/1qa.jsonl]"; those of the command line
# come after them.
OVERRIDES=()

parse_arguments "$@"
run_stage ift_1qa ift_mqa "${OVERRIDES[@]}" "${ARGUMENTS[@]}"
