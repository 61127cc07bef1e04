#!/usr/bin/env bash
# Asks about one held-out note of the small world: scripts/show_note.sh [--dry-run] tiny-world [key=value ..]
#
# Three questions, answered by the backbone without the note (naive), with the note in its prompt (in_context), by the
# LoRA generated from the note (shine), and by the LoRA of another note (shuffled); then the line to type to go on in a
# chat. The weights are those of stage ift_mqa in the run of all.sh (RUN=NAME in the environment: of runs/tiny-world-NAME).
# The notes are written to data/tiny-world/note.txt and other_note.txt. STAGE:key=value is for one stage alone, as in
# all.sh. --dry-run prints the command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/launch.sh

parse_arguments "$@"
readonly STAGE=ift_mqa FOLDER=data/tiny-world
[[ $MODEL == tiny-world ]] || fail "the notes are those of tiny-world, not of $MODEL"
[[ -f $FOLDER/validation.jsonl ]] || fail "no notes in $FOLDER (build/release/bin/shine_prepare tiny-world --output $FOLDER)"

# The first two notes with at least three questions: a line of JSON each, whose texts have no quotes in them.
mapfile -t lines < <(awk 'gsub(/"question":/, "&") >= 3 && ++found <= 2' "$FOLDER/validation.jsonl")
((${#lines[@]} == 2)) || fail "$FOLDER/validation.jsonl has no two notes with three questions"
context_of() { sed -E 's/.*"context":"([^"]*)".*/\1/' <<<"$1"; }
context_of "${lines[0]}" >"$FOLDER/note.txt"
context_of "${lines[1]}" >"$FOLDER/other_note.txt"
mapfile -t questions < <(grep -oE '"question":"[^"]*"' <<<"${lines[0]}" | sed -E 's/^"question":"(.*)"$/\1/' | head -n 3)

select_overrides "$STAGE" "${ARGUMENTS[@]}"
about=("$CONFIGS/$MODEL/$STAGE.yaml" "run.dir=$(run_folder "$STAGE")" "${THREAD_ARGUMENTS[@]}" "${SELECTED[@]}"
  --context "$FOLDER/note.txt")
asked=()
for question in "${questions[@]}"; do asked+=(--question "$question"); done
methods=(--methods "naive,in_context,shine,shuffled" --other-context "$FOLDER/other_note.txt")
((DRY_RUN)) || printf '\nA note that was never seen: %s\n\n' "$(<"$FOLDER/note.txt")"
RANKS=1
(run_command shine_generate "${about[@]}" "${methods[@]}" "${asked[@]}" --alone logging.level=warning)
((DRY_RUN)) || printf '\nAsk more: %s%s\n' "$(command_folder)" "$(printf '%q ' "$BIN/shine_generate" "${about[@]}" --chat)"
