#!/usr/bin/env bash
# What bfloat16 changes about the losses of training: scripts/compare_dtypes.sh CONFIG [key=value ..]
#
# Trains CONFIG for 50 steps of its schedule (STEPS=N in the environment: N) with the same seed and data: in float32, in
# bfloat16, and in float32 by LibTorch's own operations (ops.fused=off), which differ by the order of sums alone. Then
# loads the float32 run's weights of about ten places along the way into both types and takes the loss of one batch.
#
# One table: the largest, the mean and the last |B - A| / |A| of the losses, A being the float32 run. "equal weights" is
# the error of bfloat16 itself; the runs also show what training makes of it, and the last line what it makes of
# differences in the seventh digit.
#
# CONFIG is a path from the repository's root; a stage that starts from another one's weights needs that run first.
# Further arguments are config overrides of all runs, for example run.seed=2 or optimizer.learning_rate=1e-4. The runs are
# below runs/compare_dtypes and are made anew each time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# == 0)) || [[ $1 == -* || ! -f $1 ]]; then
  printf 'usage: scripts/compare_dtypes.sh CONFIG [key=value ..]   (a file such as configs/tiny-text/pretrain.yaml)\n' >&2
  exit 2
fi
CONFIG=$1
NAME=$(basename "$(dirname "$CONFIG")")/$(basename "$CONFIG")
FOLDER=${SHINE_RUNS:-runs}/compare_dtypes/${NAME%.yaml}
STEPS=${STEPS:-50}
OVERRIDES=("${@:2}")
readonly CONFIG NAME FOLDER STEPS OVERRIDES TRAIN=${SHINE_BIN:-build/release/bin}/shine_train

# train NAME OVERRIDE ..
train() {
  local to=$FOLDER/$1
  mkdir -p "$(dirname "$to")"
  if ! "$TRAIN" "$CONFIG" run.threads=1 run.deterministic=true logging.every_steps=1 checkpoint.every_steps=0 \
    validation.every_steps=0 validation.at_start=false run.max_steps="$STEPS" "${OVERRIDES[@]}" "${@:2}" \
    run.dir="$to" >"$to.log" 2>&1; then
    tail -3 "$to.log" >&2
    exit 1
  fi
}

# differences A B: largest, its step, mean, last; fails where a loss is not finite or there is nothing to compare
differences() {
  local text figures
  text=$("$TRAIN" --compare "$FOLDER/$1" "$FOLDER/$2") || return 1
  if [[ $text == *'training losses: identical for all '* ]]; then
    printf '0 - 0 0'
    return
  fi
  figures=$(sed -n 's#^|B - A| / |A| of the training losses: largest \(.*\) % (step \(.*\)), mean \(.*\) %, last \(.*\) % of [0-9]* logged steps\{0,1\}$#\1 \2 \3 \4#p' <<<"$text")
  if [[ -z $figures ]]; then
    printf '%s and %s cannot be compared:\n%s\n' "$1" "$2" "$(grep 'training losses' <<<"$text")" >&2
    return 1
  fi
  printf '%s' "$figures"
}

# row NAME FIGURES
row() {
  # shellcheck disable=SC2086  # four words
  printf '%-36s %10s %8s %10s %10s\n' "$1" $2
}

rm -rf "$FOLDER"
every=$((STEPS / 10 > 0 ? STEPS / 10 : 1))
train float32 model.dtype=float32 checkpoint.every_steps=$every checkpoint.keep_last=100
train bfloat16 model.dtype=bfloat16
train float32-libtorch model.dtype=float32 ops.fused=off
for ((step = every; step <= STEPS; step += every)); do
  for dtype in float32 bfloat16; do
    train "step-$step/$dtype" stage.init_from="$FOLDER/float32/checkpoints/step-$step" stage.allow_unfinished=true \
      model.dtype=$dtype run.max_steps=1
  done
done

equal=''
for ((step = every; step <= STEPS; step += every)); do
  figures=$(differences "step-$step/float32" "step-$step/bfloat16")
  equal+="$step $figures"$'\n'
done
equal=$(awk 'NF { sum += $2; last = $2 + 0; if (last >= largest) { largest = last; at = $1 } }
             END { printf "%.3f %d %.3f %.3f", largest, at, sum / NR, last }' <<<"${equal%$'\n'}")
own=$(differences float32 bfloat16)
order=$(differences float32 float32-libtorch)
losses=$("$TRAIN" --compare "$FOLDER/float32" "$FOLDER/bfloat16")

printf '%s: the losses of %s steps against float32\n\n' "$CONFIG" "$STEPS"
printf '%-36s %10s %8s %10s %10s\n' '' 'largest, %' 'at step' 'mean, %' 'last, %'
row 'bfloat16, equal weights' "$equal"
row 'bfloat16, a run of its own' "$own"
row 'float32, sums in another order' "$order"
printf '\n%-36s %10s %10s\n' '' float32 bfloat16
awk -F '  +' '/^training loss, / { printf "%-36s %10s %10s\n", $1, $2, $3 }' <<<"$losses"
