#!/usr/bin/env bash
# Makes configs/tiny-text/backbone, the committed backbone of the quick start: its own notes (another seed than the
# quick start's corpus), a tokenizer from them, a model by stage `backbone`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
scripts/build.sh release shine_programs
mkdir -p runs
rm -rf runs/tiny-text-backbone
python3 scripts/make_tiny_corpus.py --notes 20000 --seed 2 > runs/tiny-text-backbone-corpus.txt
build/release/bin/shine_prepare tokenizer --input runs/tiny-text-backbone-corpus.txt --vocab-size 768 \
  --output runs/tiny-text-tokenizer
build/release/bin/shine_train configs/tiny-text/backbone.yaml "$@"
for file in config.json model.safetensors tokenizer.json tokenizer_config.json; do
  cp "runs/tiny-text-backbone/model/$file" configs/tiny-text/backbone/
done
