# What pretrain.sh, ift_mqa.sh, ift_1qa.sh and all.sh share; they source it in the repository's root.
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

# run_stage STAGE PREVIOUS [OVERRIDE ..]: trains one stage of $MODEL in place of this shell, from the weights of the
# stage PREVIOUS (empty: from none). Later overrides win over earlier ones. STAGE:key=value is for that stage alone.
run_stage() {
  local stage=$1 previous=$2
  shift 2
  local config=$CONFIGS/$MODEL/$stage.yaml
  [[ -f $config ]] || fail "stage $stage does not exist for $MODEL: there is no $config"
  local command=("$BIN/shine_train" "$config" "run.dir=$RUNS/$MODEL/$stage")
  [[ -z $THREADS ]] || command+=("run.threads=$THREADS")
  [[ -z $previous ]] || command+=("stage.init_from=$RUNS/$MODEL/$previous")
  local override key
  for override in "$@"; do
    key=${override%%=*}
    if [[ $key != *:* ]]; then
      command+=("$override")
    elif [[ $key == "$stage":* ]]; then
      command+=("${override#*:}")
    elif [[ " ${STAGES[*]} " != *" ${key%%:*} "* ]]; then
      fail "unknown stage ${key%%:*} in $override (one of: ${STAGES[*]})"
    fi
  done
  if ((DRY_RUN)); then
    printf '%q ' "${command[@]}" && printf '\n'
    exit 0
  fi
  [[ -x ${command[0]} ]] || fail "${command[0]} is missing: run scripts/setup.sh && scripts/build.sh first"
  printf '%s: %s\n' "$NAME" "$(printf '%q ' "${command[@]}")" >&2
  exec "${command[@]}"
}
