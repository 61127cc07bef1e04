"""Compares the speed of greedy decoding with `generate` of transformers: same model, prompts, float32 and threads.

  .venv-tools/bin/python scripts/bench_decode.py --model DIR --program build/release/bin/bench_decode

Both continue the same random prompts in turn, several times; a pair of neighbouring measurements gives a ratio, the
median of the ratios is reported (above 1: this project is faster), for the whole call and for its first token alone.
No token ends an answer. The tokens must be equal; where they are not, the gap of transformers' two best logits at the
first difference is shown, and more than --tolerance is a failure. The rows "LoRA" give every row its own random LoRA,
which transformers does not do: their ratio is against this project without a LoRA. On a machine that others use too,
--processor-time counts the processor's seconds instead of the clock's (give one thread then).
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import time

import torch
import transformers
from transformers import AutoModelForCausalLM

transformers.utils.logging.set_verbosity_error()


class Program:
    """bench_decode as a child that keeps its model."""

    def __init__(self, options):
        self.key = "processor_seconds" if options.processor_time else "seconds"
        self.process = subprocess.Popen(
            [options.program, "--serve", "--model", options.model, "--threads", str(options.threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def generate(self, prompts, new_tokens, lora_rank=0):
        asked = {"prompts": prompts, "new_tokens": new_tokens, "lora_rank": lora_rank}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("bench_decode ended early")
        answer = json.loads(line)
        return answer[self.key], answer["ids"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Transformers:
    """The model of transformers with the same call."""

    def __init__(self, options):
        self.clock = time.process_time if options.processor_time else time.perf_counter
        self.model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
        self.model.generation_config.eos_token_id = None
        self.model.generation_config.pad_token_id = 0

    @torch.inference_mode()
    def generate(self, prompts, new_tokens):
        start = self.clock()
        ids = torch.tensor(prompts)
        out = self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new_tokens)
        return self.clock() - start, out[:, ids.shape[1]:].tolist()

    @torch.inference_mode()
    def gap(self, ids):
        """Between the two best logits behind `ids`."""
        best = self.model(torch.tensor([ids])).logits[0, -1].topk(2).values
        return (best[0] - best[1]).item()


def largest_gap(package, prompts, ours, theirs):
    """None where all tokens are equal, else the largest gap at a first difference."""
    gaps = []
    for prompt, mine, right in zip(prompts, ours, theirs):
        if mine != right:
            first = next(i for i, (a, b) in enumerate(zip(mine + [None], right + [None])) if a != b)
            gaps.append(package.gap(prompt + right[:first]))
    return max(gaps, default=None)


def ratio(theirs, ours):
    return statistics.median(a / b for a, b in zip(theirs, ours))


def compare(program, package, prompts, options):
    new_tokens = options.new_tokens
    program.generate(prompts, 2), package.generate(prompts, 2)
    seconds = {key: [] for key in ("ours", "theirs", "ours first", "theirs first", "lora")}
    for _ in range(options.repeats):
        for count, suffix in ((new_tokens, ""), (1, " first")):
            ours, ids = program.generate(prompts, count)
            theirs, right = package.generate(prompts, count)
            seconds["ours" + suffix].append(ours)
            seconds["theirs" + suffix].append(theirs)
            if count > 1:
                gap = largest_gap(package, prompts, ids, right)
        seconds["lora"].append(program.generate(prompts, new_tokens, options.lora_rank)[0])
    tokens = len(prompts) * new_tokens
    return {
        "batch": len(prompts),
        "tokens_per_second": tokens / statistics.median(seconds["ours"]),
        "transformers_tokens_per_second": tokens / statistics.median(seconds["theirs"]),
        "ratio": ratio(seconds["theirs"], seconds["ours"]),
        "ratio_first_token": ratio(seconds["theirs first"], seconds["ours first"]),
        "lora_tokens_per_second": tokens / statistics.median(seconds["lora"]),
        "ratio_lora": ratio(seconds["ours"], seconds["lora"]),
        "largest_gap": gap,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--lora-rank", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    program, package = Program(options), Transformers(options)
    rng = random.Random(1)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {options.threads} threads; "
          f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{options.prompt_tokens} + {options.new_tokens} tokens, tokens/s"
          f"{' of processor time' if options.processor_time else ''}")
    print(f"{'batch':>5}{'ours':>10}{'transformers':>14}{'ratio':>8}{'first':>8}{'LoRA':>10}{'ratio':>8}  tokens")
    rows = []
    for batch in options.batch:
        vocabulary = package.model.config.vocab_size
        prompts = [[rng.randrange(vocabulary) for _ in range(options.prompt_tokens)] for _ in range(batch)]
        row = compare(program, package, prompts, options)
        rows.append(row)
        same = "equal" if row["largest_gap"] is None else f"differ, best two {row['largest_gap']:.1e} apart"
        print(f"{batch:>5}{row['tokens_per_second']:>10.1f}{row['transformers_tokens_per_second']:>14.1f}"
              f"{row['ratio']:>8.2f}{row['ratio_first_token']:>8.2f}{row['lora_tokens_per_second']:>10.1f}"
              f"{row['ratio_lora']:>8.2f}  {same}", flush=True)
    program.close()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"model": options.model, "threads": options.threads, "runs": rows}, file, indent=2)
    raise SystemExit(0 if all((row["largest_gap"] or 0.0) <= options.tolerance for row in rows) else 1)


if __name__ == "__main__":
    main()
