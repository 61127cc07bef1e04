#!/usr/bin/env bash
# Set-up, build, and the method on the small world: its notes, the three stages, the tests with their tables,
# and one note with its answers. The same
# command continues where it stopped. Arguments are config overrides, for example ift_mqa:schedule.epochs=2. RUN=NAME in
# the environment names a run beside the first: RUN=seed2 scripts/quickstart.sh run.seed=2
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export SHINE_PATHS_FROM=$OLDPWD # see lib/launch.sh

RANKS=1 scripts/all.sh --dry-run tiny-world "$@" >/dev/null  # wrong arguments, before anything is built
scripts/setup.sh
scripts/build.sh release shine_programs
[[ -f data/tiny-world/words.txt ]] || build/release/bin/shine_prepare tiny-world --output data/tiny-world
scripts/all.sh tiny-world "$@"
scripts/evaluate.sh tiny-world "$@"
scripts/show_note.sh tiny-world "$@"
