# What pretrain.sh, ift_mqa.sh, ift_1qa.sh, all.sh and evaluate.sh share; they source it in the repository's root.
# shellcheck shell=bash

# Edit these, or set the environment variables for one call.
BIN=${SHINE_BIN:-build/release/bin}  # the built programs
CONFIGS=${SHINE_CONFIGS:-configs}    # a folder for each MODEL, in it a file STAGE.yaml for each stage
RUNS=${SHINE_RUNS:-runs}             # a run goes to $RUNS/MODEL/STAGE
THREADS=${SHINE_THREADS:-}           # CPU threads; empty: what the configuration says

NAME=$(basename "$0" .sh)
STAGES=(pretrain ift_mqa ift_1qa)  # in the order of training

fail() {
  printf '%s: error: %s\n' "$NAME" "$1" >&2
  exit "${2:-1}"
}

# Names of the models, in one line: folders of $CONFIGS that have a stage; `base` is only inherited from.
models() {
  local names=() folder stage
  for folder in "$CONFIGS"/*/; do
    folder=$(basename "$folder")
    [[ $folder != base ]] || continue
    for stage in "${STAGES[@]}"; do
      [[ ! -f $CONFIGS/$folder/$stage.yaml ]] || { names+=("$folder") && break; }
    done
  done
  printf '%s' "${names[*]}"
}

# The comment at the head of the calling script, and the models.
usage() {
  awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "scripts/$NAME.sh"
  printf '\nModels: %s\n' "$(models)"
}

# Sets MODEL, DRY_RUN (0 or 1) and ARGUMENTS (overrides).
parse_arguments() {
  MODEL='' DRY_RUN=0 ARGUMENTS=()
  local argument
  for argument in "$@"; do
    case $argument in
      -h | --help)
        usage
        exit 0
        ;;
      --dry-run) DRY_RUN=1 ;;
      -*) fail "unknown option $argument ($NAME.sh --help)" ;;
      *=*) ARGUMENTS+=("$argument") ;;
      *)
        [[ -z $MODEL ]] || fail "$argument is neither an option nor key=value, and the model is $MODEL already"
        MODEL=$argument
        ;;
    esac
  done
  [[ -n $MODEL ]] || fail "no model given (one of: $(models))"
  [[ " $(models) " == *" $MODEL "* ]] || fail "unknown model $MODEL (one of: $(models))"
}

# select_overrides STAGE [OVERRIDE ..]: sets SELECTED to those that are for STAGE, without its name.
select_overrides() {
  local stage=$1 override key
  shift
  SELECTED=()
  for override in "$@"; do
    key=${override%%=*}
    if [[ $key != *:* ]]; then
      SELECTED+=("$override")
    elif [[ $key == "$stage":* ]]; then
      SELECTED+=("${override#*:}")
    elif [[ " ${STAGES[*]} " != *" ${key%%:*} "* ]]; then
      fail "unknown stage ${key%%:*} in $override (one of: ${STAGES[*]})"
    fi
  done
}

# run_command PROGRAM [ARGUMENT ..]: runs a program of $BIN in place of this shell, or prints the command.
run_command() {
  local command=("$BIN/$1" "${@:2}")
  if ((DRY_RUN)); then
    printf '%q ' "${command[@]}" && printf '\n'
    exit 0
  fi
  [[ -x ${command[0]} ]] || fail "${command[0]} is missing: run scripts/setup.sh && scripts/build.sh first"
  printf '%s: %s\n' "$NAME" "$(printf '%q ' "${command[@]}")" >&2
  exec "${command[@]}"
}

# run_stage STAGE PREVIOUS [OVERRIDE ..]: trains one stage of $MODEL in place of this shell, from the weights of the
# stage PREVIOUS (empty: from none). Later overrides win over earlier ones. STAGE:key=value is for that stage alone.
run_stage() {
  local stage=$1 previous=$2
  shift 2
  local config=$CONFIGS/$MODEL/$stage.yaml
  [[ -f $config ]] || fail "stage $stage does not exist for $MODEL: there is no $config"
  local arguments=("$config" "run.dir=$RUNS/$MODEL/$stage")
  [[ -z $THREADS ]] || arguments+=("run.threads=$THREADS")
  [[ -z $previous ]] || arguments+=("stage.init_from=$RUNS/$MODEL/$previous")
  select_overrides "$stage" "$@"
  run_command shine_train "${arguments[@]}" "${SELECTED[@]}"
}

# run_test STAGE [OVERRIDE ..]: tests the run of one stage of $MODEL, in place of this shell; goes on where an earlier
# test of it stopped.
run_test() {
  local stage=$1 program
  shift
  case $stage in
    pretrain) program=shine_test_pretrain ;;
    ift_mqa) program=shine_test_mqa ;;
    ift_1qa) program=shine_test_1qa ;;
  esac
  local arguments=("$CONFIGS/$MODEL/$stage.yaml" --resume "run.dir=$RUNS/$MODEL/$stage")
  [[ -z $THREADS ]] || arguments+=("run.threads=$THREADS")
  select_overrides "$stage" "$@"
  run_command "$program" "${arguments[@]}" "${SELECTED[@]}"
}

# Runs a command; its exit status is in `status`. SIGINT, SIGTERM and SIGHUP are handed on as SIGTERM and set `asked`.
child='' asked=0 interrupted=0
run_interruptible() {
  trap 'asked=1 interrupted=1; [[ -z $child ]] || kill -TERM "$child" 2>/dev/null || true' INT TERM HUP
  set -m # a process group of its own: a terminal's Ctrl-C comes to this shell alone
  "$@" &
  set +m
  child=$! interrupted=1
  while ((interrupted)); do # a signal ends `wait` early
    interrupted=0 status=0
    wait "$child" || status=$?
  done
  child=''
}

# run_in_chain WHAT COMMAND [ARGUMENT ..]: runs a link of a chain, which ends there unless it ends well.
run_in_chain() {
  local what=$1
  shift
  run_interruptible "$@"
  case $status in
    0) ((!asked)) || fail "stopped after $what: run the same command again to go on" 75 ;;
    75) fail "stopped in $what: run the same command again to go on" 75 ;;
    *) fail "$what failed with status $status (see above)" "$status" ;;
  esac
}
