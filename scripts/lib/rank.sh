#!/usr/bin/env bash
# Runs one rank under torchrun, which keeps exit statuses to itself: scripts/lib/rank.sh PROGRAM [ARGUMENT ..]
# Started by lib/ranks.sh, which makes the folder SHINE_RANK_FOLDER with the files named below.
set -euo pipefail
[[ -n ${SHINE_RANK_FOLDER:-} ]] || exec "$@"

trap 'interrupted=1' INT TERM HUP # torchrun signals the whole process group, hence the program too
{
  printf '%s\n' "$BASHPID" >>"$SHINE_RANK_FOLDER/pids"
  exec "$@" 2>"$SHINE_RANK_FOLDER/err"
} &
program=$!
interrupted=1
while ((interrupted)); do # a signal ends `wait` early
  interrupted=0 status=0
  wait "$program" || status=$?
done
printf '%s\n' "$status" >>"$SHINE_RANK_FOLDER/ended"
exit "$status"
