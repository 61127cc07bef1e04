"""Compares the answers of a test with greedy generation by transformers on the same prompts.

  .venv-tools/bin/python scripts/check_answers.py --model DIR --prompts RESULTS/prompts.jsonl [--max-new-tokens N]

prompts.jsonl is what shine_test_mqa and shine_test_1qa write with --prompts; how long an answer may be is read from the
config.yaml and test.json beside it, if present. Methods naive and in_context only: the
others answer with a LoRA. Where the tokens differ, the gap of transformers' two best logits at the first difference is
shown: a tie within rounding, or a fault. Exit status 1 where fewer than --share of the answers are equal.
"""

import argparse
import json
import pathlib
import sys

import torch
import transformers
import yaml
from transformers import AutoModelForCausalLM

transformers.utils.logging.set_verbosity_error()
METHODS = ("naive", "in_context")
SHORT, LONG = 128, 500  # tokens of an answer where the test says 0: of one question, of multi-turn QA


def read_prompts(path):
    with open(path, encoding="utf-8") as lines:
        return [record for record in map(json.loads, lines) if record["method"] in METHODS]


def tested_max_new_tokens(folder):
    """What the test in `folder` wrote an answer with, at most."""
    config, test = folder / "config.yaml", folder / "test.json"
    chosen = 0
    if config.is_file():
        chosen = yaml.safe_load(config.read_text(encoding="utf-8"))["evaluation"]["decoding"]["max_new_tokens"]
    if chosen:
        return chosen
    program = json.loads(test.read_text(encoding="utf-8"))["program"] if test.is_file() else ""
    return LONG if program == "shine_test_mqa" else SHORT


def first_difference(found, written):
    """The first place where the two differ; a shorter one differs where it ends."""
    same = min(len(found), len(written))
    return next((i for i in range(same) if found[i] != written[i]), same)


def stop_ids(model, tokenizer, given):
    """The ids of the tokens given, else those that the test takes by itself: <|im_end|> and the model's own."""
    if given:
        return [tokenizer.convert_tokens_to_ids(token) for token in given]
    own = model.generation_config.eos_token_id
    own = [] if own is None else own if isinstance(own, list) else [own]
    return list(dict.fromkeys([tokenizer.convert_tokens_to_ids("<|im_end|>"), *own]))


def generate(model, prompt, stop, max_new_tokens):
    """The new ids without the stop token, and the gap of the two best logits at each place."""
    ids = torch.tensor([prompt])
    made = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=stop,
        pad_token_id=stop[0], return_dict_in_generate=True, output_logits=True,
    )
    new = made.sequences[0, len(prompt):].tolist()
    best = [step[0].topk(2).values for step in made.logits]
    gaps = [float(pair[0] - pair[1]) for pair in best]
    return (new[:-1] if new and new[-1] in stop else new), gaps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Hugging Face directory of the backbone")
    parser.add_argument("--prompts", required=True, help="prompts.jsonl of a test")
    parser.add_argument("--max-new-tokens", type=int, default=0,
                        help="evaluation.decoding.max_new_tokens of the test; 0 = as its folder says")
    parser.add_argument("--stop", nargs="*", default=[], help="evaluation.decoding.stop of the test")
    parser.add_argument("--limit", type=int, default=0, help="answers compared of each method; 0 = all")
    parser.add_argument("--share", type=float, default=0.98, help="of the answers that must be equal")
    options = parser.parse_args()
    records = read_prompts(options.prompts)
    if not records:
        print(f"check_answers: error: {options.prompts}: no prompt of methods {' and '.join(METHODS)}", file=sys.stderr)
        return 1
    max_new_tokens = options.max_new_tokens or tested_max_new_tokens(pathlib.Path(options.prompts).parent)

    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    stop = stop_ids(model, tokenizer, options.stop)
    model.generation_config = transformers.GenerationConfig()
    passed = True
    for method in METHODS:
        chosen = [record for record in records if record["method"] == method]
        chosen = chosen[: options.limit or None]
        equal = 0
        for record in chosen:
            with torch.inference_mode():
                found, gaps = generate(model, record["prompt_ids"], stop, max_new_tokens)
            if found == record["ids"]:
                equal += 1
                continue
            place = first_difference(found, record["ids"])
            apart = f"where the best two logits are {gaps[place]:.2e} apart" if place < len(gaps) else (
                "where transformers had ended at its most new tokens")
            print(f"{method} {record['item']} conversation {record.get('conversation', 0)} turn {record['turn']}: "
                  f"differs at token {place}, {apart}")
        if chosen:
            print(f"{method}: {equal} of {len(chosen)} answers equal")
            passed = passed and equal >= options.share * len(chosen)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
