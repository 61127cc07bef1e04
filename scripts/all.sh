#!/usr/bin/env bash
# All stages of one model, each from the weights of the one before: scripts/all.sh [--dry-run] MODEL [key=value ..]
#
# Runs pretrain.sh, ift_mqa.sh and ift_1qa.sh and stops at the first that fails, with its exit status. The
# same command continues where it stopped and skips finished stages. Overrides are for all stages,
# STAGE:key=value is for one: scripts/all.sh tiny-text pretrain:schedule.epochs=1. Sizes (hypernetwork.*) reach later
# stages by themselves: they stand in the run that a stage starts from.
# RUN=NAME in the environment: the runs go to runs/MODEL-NAME, beside those of other settings, for example
# RUN=seed2 scripts/all.sh tiny-world run.seed=2
# RANKS=N in the environment: N ranks on this machine share the work of each stage, as in pretrain.sh.
# A relative path in key=value begins in the folder that the script is called in, one in a YAML file in the repository.
# --dry-run prints the commands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/launch.sh

parse_arguments "$@"
for argument in "${ARGUMENTS[@]}"; do
  [[ $argument != *run.dir=* ]] || fail "run.dir is one stage's folder, and the next stage starts from it (set RUN=NAME)"
done
require_stages_of_overrides "${ARGUMENTS[@]}"
missing=''
for stage in "${STAGES[@]}"; do
  [[ -n $missing || -f $CONFIGS/$MODEL/$stage.yaml ]] || missing=$stage
done
[[ -z $missing ]] || printf 'all: %s has no stage %s: stopping there\n' "$MODEL" "$missing" >&2

for stage in "${STAGES[@]}"; do
  select_overrides "$stage" "${ARGUMENTS[@]}"
  command=("scripts/$stage.sh" "$MODEL" "${SELECTED[@]}")
  ((!DRY_RUN)) || command+=(--dry-run)
  run_in_chain "stage $stage" "${command[@]}"
done
