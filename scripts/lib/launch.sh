# What pretrain.sh, ift_mqa.sh, ift_1qa.sh, all.sh and evaluate.sh share; they source it in the repository's root.
# shellcheck shell=bash
source scripts/lib/ranks.sh

# Who calls a script from another folder means paths as seen from there. For those in overrides, the programs read
# SHINE_PATHS_FROM; scripts that call each other hand it on.
SHINE_PATHS_FROM=${SHINE_PATHS_FROM:-${OLDPWD:-$PWD}}
if [[ $SHINE_PATHS_FROM -ef . ]]; then unset SHINE_PATHS_FROM; else export SHINE_PATHS_FROM; fi

# from_caller PATH: prints the path as it is from the repository.
from_caller() {
  # shellcheck disable=SC2088
  case $1 in
    '~' | '~/'*) printf '%s' "$HOME${1#'~'}" ;;
    /* | '') printf '%s' "$1" ;;
    *) printf '%s' "${SHINE_PATHS_FROM:+$SHINE_PATHS_FROM/}$1" ;;
  esac
}

# Edit these, or set the environment variables for one call.
BIN=$(from_caller "${SHINE_BIN:-}")          # the built programs
CONFIGS=$(from_caller "${SHINE_CONFIGS:-}")  # a folder for each MODEL, in it a file STAGE.yaml for each stage
RUNS=$(from_caller "${SHINE_RUNS:-}")        # a run goes to $RUNS/MODEL/STAGE
BIN=${BIN:-build/release/bin}
CONFIGS=${CONFIGS:-configs}
RUNS=${RUNS:-${SHINE_PATHS_FROM:+$PWD/}runs} # an override names it to the programs
RUN=${RUN:-}                                 # a name of your own for the run, which then goes to
                                             # $RUNS/MODEL-NAME/STAGE: another seed is another run
THREADS=${SHINE_THREADS:-}           # CPU threads of a process, as run.threads; empty: what the configuration says. Where
                                     # that is 0, OMP_NUM_THREADS counts, else each process takes its share of the cores
RANKS=${RANKS:-1}                    # processes that share the work, on this machine

NAME=$(basename "$0" .sh)
STAGES=(pretrain ift_mqa ift_1qa)  # in the order of training
THREAD_ARGUMENTS=(${THREADS:+"run.threads=$THREADS"})

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

# describe SCRIPT: prints the comment at its head.
describe() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$1"; }

# That, and the models.
usage() {
  describe "scripts/$NAME.sh"
  printf '\nModels: %s\n' "$(models)"
}

# require_count VARIABLE: ends this shell where its value is not 1, 2, ..
require_count() {
  [[ ${!1} =~ ^[1-9][0-9]{0,4}$ ]] || fail "$1=${!1} is not a positive number"
}

# parse_program_arguments SCRIPT [ARGUMENT ..]: sets DRY_RUN (0 or 1) and ARGUMENTS (a YAML file and overrides).
parse_program_arguments() {
  local script=$1 argument
  shift
  DRY_RUN=0 ARGUMENTS=()
  for argument in "$@"; do
    case $argument in
      -h | --help)
        describe "$script"
        exit 0
        ;;
      --dry-run) DRY_RUN=1 ;;
      -*) fail "unknown option $argument ($script --help)" ;;
      *) ARGUMENTS+=("$argument") ;;
    esac
  done
  [[ -n ${ARGUMENTS[0]:-} && ${ARGUMENTS[0]} != *=* ]] || fail "no configuration given ($script --help)"
  ARGUMENTS[0]=$(from_caller "${ARGUMENTS[0]}")
  [[ -x $BIN/shine_train ]] || fail "$BIN/shine_train is missing: run scripts/setup.sh && scripts/build.sh release shine_programs first"
}

# Prints what goes before a command that is to be run by hand.
command_folder() {
  [[ -z ${SHINE_PATHS_FROM:-} ]] || printf 'cd %q && SHINE_PATHS_FROM=%q ' "$PWD" "$SHINE_PATHS_FROM"
}
print_command() { printf '%s: %s%s\n' "$NAME" "$(command_folder)" "$(printf '%q ' "$@")" >&2; }

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
  require_count RANKS
  [[ -z $RUN || $RUN =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
    fail "RUN=$RUN is no name of letters, digits, dots, dashes and underscores"
  [[ -z $RUN || " $(models) " != *" $MODEL-$RUN "* ]] || fail "RUN=$RUN: the folder would be that of the model $MODEL-$RUN"
  [[ -n $MODEL ]] || fail "no model given (one of: $(models))"
  [[ " $(models) " == *" $MODEL "* ]] || fail "unknown model $MODEL (one of: $(models); for another copy the files of \
such a folder to $CONFIGS/$MODEL, and name in model.path a folder with the model's config.json, tokenizer.json and \
*.safetensors from huggingface.co)"
}

# run_folder STAGE: prints the folder of the stage's run.
run_folder() { printf '%s' "$RUNS/$MODEL${RUN:+-$RUN}/$1"; }

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

# require_own_overrides STAGE [OVERRIDE ..]: ends this shell where one is for another stage, which is not run here.
require_own_overrides() {
  local stage=$1 override key
  shift
  for override in "$@"; do
    key=${override%%=*}
    [[ $key != *:* || $key == "$stage":* || " ${STAGES[*]} " != *" ${key%%:*} "* ]] ||
      fail "$override is for stage ${key%%:*}, and this is stage $stage alone (all.sh runs all)"
  done
}

# require_stages_of_overrides [OVERRIDE ..]: ends this shell where one is for a stage that $MODEL has no file for.
require_stages_of_overrides() {
  local override key
  for override in "$@"; do
    key=${override%%=*}
    [[ $key != *:* || " ${STAGES[*]} " != *" ${key%%:*} "* || -f $CONFIGS/$MODEL/${key%%:*}.yaml ]] ||
      fail "$override is for stage ${key%%:*}, which $MODEL does not have"
  done
}

# run_command PROGRAM [ARGUMENT ..]: runs a program of $BIN in place of this shell, on $RANKS ranks, or prints the
# command.
run_command() {
  local command=("$BIN/$1" "${@:2}")
  LAUNCHER=()
  ((RANKS == 1)) || select_launcher
  if ((DRY_RUN)); then
    command_folder && printf '%q ' "${LAUNCHER[@]}" "${command[@]}" && printf '\n'
    exit 0
  fi
  [[ -x ${command[0]} ]] || fail "${command[0]} is missing: run scripts/setup.sh && scripts/build.sh release shine_programs first"
  print_command "${LAUNCHER[@]}" "${command[@]}"
  ((RANKS > 1)) || exec "${command[@]}"
  run_ranks "${LAUNCHER[@]}" "${command[@]}"
}

# run_stage STAGE PREVIOUS [OVERRIDE ..]: trains one stage of $MODEL in place of this shell, from the weights of the
# stage PREVIOUS (empty: from none). Later overrides win over earlier ones. STAGE:key=value is for that stage alone.
run_stage() {
  local stage=$1 previous=$2
  shift 2
  local config=$CONFIGS/$MODEL/$stage.yaml
  [[ -f $config ]] || fail "stage $stage does not exist for $MODEL: there is no $config"
  local arguments=("$config" "run.dir=$(run_folder "$stage")" "${THREAD_ARGUMENTS[@]}")
  [[ -z $previous ]] || arguments+=("stage.init_from=$(run_folder "$previous")")
  require_own_overrides "$stage" "$@"
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
  local arguments=("$CONFIGS/$MODEL/$stage.yaml" --resume "run.dir=$(run_folder "$stage")" "${THREAD_ARGUMENTS[@]}")
  select_overrides "$stage" "$@"
  run_command "$program" "${arguments[@]}" "${SELECTED[@]}"
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
