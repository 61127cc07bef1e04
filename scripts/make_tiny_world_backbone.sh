#!/usr/bin/env bash
# Makes configs/tiny-world/backbone, the committed backbone of the small world: its own notes (another seed than the
# quick start's), a tokenizer from them, a model by stage `backbone` that answers from a note in its prompt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
scripts/build.sh release shine_programs
rm -rf runs/tiny-world-backbone
build/release/bin/shine_prepare tiny-world --notes 9600 --seed 2 --output runs/tiny-world-backbone-notes
build/release/bin/shine_prepare tokenizer --kind sentencepiece-unigram --vocab-size 320 \
  --input runs/tiny-world-backbone-notes/tokenizer.txt --words runs/tiny-world-backbone-notes/words.txt \
  --output runs/tiny-world-tokenizer
build/release/bin/shine_train configs/tiny-world/backbone.yaml "$@"
mkdir -p configs/tiny-world/backbone
for file in config.json model.safetensors tokenizer.model tokenizer_config.json; do
  cp "runs/tiny-world-backbone/model/$file" configs/tiny-world/backbone/
done
