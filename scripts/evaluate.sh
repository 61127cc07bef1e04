#!/usr/bin/env bash
# Tests all trained stages of one model: scripts/evaluate.sh [--dry-run] MODEL [key=value ..]
#
# Runs shine_test_pretrain, shine_test_mqa and shine_test_1qa with configs/MODEL/STAGE.yaml on the runs of all.sh; what
# they test on, and how, are the keys evaluation.* of that file. Results go to runs/MODEL/STAGE/evaluation. RUN=NAME
# in the environment: those of runs/MODEL-NAME, as in all.sh. The same
# command continues where it stopped. STAGE:key=value is for one stage's test alone, as in all.sh:
# scripts/evaluate.sh tiny-world evaluation.limit=20 ift_mqa:evaluation.baselines=[shine,shuffled]
# RANKS=N in the environment: N ranks on this machine share the work of each test.
# A relative path in key=value begins in the folder that the script is called in, one in a YAML file in the repository.
# --dry-run prints the commands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/launch.sh

parse_arguments "$@"
require_stages_of_overrides "${ARGUMENTS[@]}"
tested=0
for stage in "${STAGES[@]}"; do
  [[ -f $CONFIGS/$MODEL/$stage.yaml ]] || continue
  if [[ ! -d $(run_folder "$stage") && $DRY_RUN == 0 ]]; then
    printf 'evaluate: %s has not been trained: skipped\n' "$(run_folder "$stage")" >&2
    continue
  fi
  tested=1
  run_in_chain "the test of stage $stage" run_test "$stage" "${ARGUMENTS[@]}"
done
((tested)) || fail "nothing to test: train a stage first (${RUN:+RUN=$RUN }scripts/all.sh $MODEL)"
