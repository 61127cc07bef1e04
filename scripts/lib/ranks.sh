# Starts programs that can be asked to stop: one, or several ranks on this machine. Sourced by launch.sh.
# shellcheck shell=bash

# Runs a command; its exit status is in `status`. stop_ranks forwards SIGINT, SIGTERM and SIGHUP, as SIGTERM
# unless it is redefined; `asked` counts them.
child='' asked=0 interrupted=0
stop_ranks() { kill -TERM "$child"; }
run_interruptible() {
  trap 'asked=$((asked + 1)) interrupted=1; [[ -z $child ]] || stop_ranks 2>/dev/null || true' INT TERM HUP
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

# nproc counts OMP_NUM_THREADS where that is set.
cores() { env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc; }

# Prints each rank's share of the cores.
threads_of_a_rank() {
  local share=$(($(cores) / RANKS))
  printf '%s' "$((share > 0 ? share : 1))"
}

has_mpirun() { command -v mpirun >/dev/null && [[ $(mpirun --version 2>/dev/null) == *"Open MPI"* ]]; }

# Prints the name of torchrun: that of PATH, else that of .venv.
find_torchrun() {
  if command -v torchrun >/dev/null; then
    printf 'torchrun'
  elif [[ -x .venv/bin/torchrun ]]; then
    printf '.venv/bin/torchrun'
  fi
}

# Sets LAUNCHER to what comes before the program. Ranks with several threads may not be bound to a core; where there
# are more ranks than cores, a waiting rank must leave its core to another (--oversubscribe). Without --quiet mpirun's
# account of a rank that failed is longer than the rank's own.
select_launcher() {
  local torchrun
  if has_mpirun; then
    LAUNCHER=(mpirun --quiet --bind-to none --use-hwthread-cpus)
    ((EUID != 0)) || LAUNCHER+=(--allow-run-as-root)
    ((RANKS <= $(cores))) || LAUNCHER+=(--oversubscribe)
    LAUNCHER+=(-n "$RANKS")
    return
  fi
  torchrun=$(find_torchrun)
  [[ -n $torchrun ]] || fail "RANKS=$RANKS needs OpenMPI's mpirun (Debian: openmpi-bin) or, for ranks on GPUs, torchrun"
  LAUNCHER=("$torchrun" --standalone --nproc-per-node "$RANKS" --no-python scripts/lib/rank.sh)
}

# run_ranks COMMAND [ARGUMENT ..]: runs a command that begins with LAUNCHER, and ends this shell with the ranks' status.
# SIGINT, SIGTERM and SIGHUP reach every rank as SIGUSR1: mpirun itself would kill them within a second.
run_ranks() {
  local what=${LAUNCHER[0]##*/}
  if [[ $what == mpirun ]]; then
    # shellcheck disable=SC2317
    stop_ranks() { kill -USR1 "$child"; }
    run_interruptible "$@" </dev/null
  else
    run_by_torchrun "$@"
  fi
  # Status 138: the signal came before the ranks had begun to take it.
  ((status != 138 || asked != 1)) || status=75
  case $status in
    0 | 75) exit "$status" ;;
    129 | 1[3-9]?) fail "a rank was ended by SIG$(kill -l $((status - 128))): run the same command again to go on" "$status" ;;
    *) fail "a rank ended with status $status (see above; if nothing is there: the fault of $what)" "$status" ;;
  esac
}

# Sets status to that of the first rank that failed: torchrun's own is 1 whatever happened. What the ranks write to
# standard error passes by torchrun, whose account of a fault is many lines. Where OMP_NUM_THREADS is not set, torchrun
# would give each rank one thread.
run_by_torchrun() {
  local first
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(threads_of_a_rank)}
  SHINE_RANK_FOLDER=$(mktemp -d)
  export SHINE_RANK_FOLDER
  trap 'rm -rf "$SHINE_RANK_FOLDER"' EXIT
  touch "$SHINE_RANK_FOLDER/pids" "$SHINE_RANK_FOLDER/ended"
  mkfifo "$SHINE_RANK_FOLDER/err"
  exec 3<>"$SHINE_RANK_FOLDER/err"
  cat <"$SHINE_RANK_FOLDER/err" >&2 3>&- &
  local reader=$!
  # shellcheck disable=SC2317
  stop_ranks() {
    local pids
    mapfile -t pids <"$SHINE_RANK_FOLDER/pids"
    if ((${#pids[@]} >= RANKS)); then kill -USR1 "${pids[@]}"; else kill -TERM "$child"; fi
  }
  run_interruptible "$@" </dev/null 2>"$SHINE_RANK_FOLDER/torchrun" 3>&-
  exec 3>&-
  wait "$reader" || true
  first=$(awk '$1 != 0 { print $1; exit }' "$SHINE_RANK_FOLDER/ended")
  if [[ -n $first ]]; then
    status=$first
  elif ((status != 0 && asked == 0)); then
    tail -n 5 "$SHINE_RANK_FOLDER/torchrun" >&2
  elif ((status != 0)); then
    status=75 # stopped before there was a rank
  fi
}
