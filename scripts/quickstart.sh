#!/usr/bin/env bash
# Set-up, build and the main job on the embedded default. Arguments are config overrides, for example run.seed=2
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
scripts/build.sh release
exec build/release/bin/shine_train configs/tiny-text/pretrain.yaml "$@"
