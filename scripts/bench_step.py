"""Compares an optimizer step of bench_step with the same work in eager PyTorch and transformers.

  .venv-tools/bin/python scripts/bench_step.py --program build/release/bin/bench_step [--pairs 5] [--threads 2]

Both take the same steps: shapes and the lengths of every context and conversation come from the program (--plan). Each
measurement is a process of its own, ours and theirs in turn; a pair of neighbours gives a ratio of tokens/s (above 1:
this project is faster), the median of the ratios counts. Memory is the peak above what was resident once the model was
loaded: on the CPU the resident set's high-water mark, on a GPU what the allocator gave out.

  float32, bfloat16  eager, no padding, no recomputation, logits of labelled positions alone; bfloat16: frozen weights
                     in bfloat16, the rest by autocast
  published          eager as the method was published: float32, rows padded to the longest length, every layer
                     recomputed in the backward, logits of every position; ours in bfloat16
  published-bfloat16 the same with theirs in bfloat16

--check FOLDER compares the eager model's loss and gradients with a parity fixture instead.
"""

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

CASES = {  # name: dtype of ours, dtype and mode of theirs
    "float32": ("float32", "float32", "plain"),
    "bfloat16": ("bfloat16", "bfloat16", "plain"),
    "published": ("bfloat16", "float32", "published"),
    "published-bfloat16": ("bfloat16", "bfloat16", "published"),
}


def status_bytes(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


class PeakMemory:
    """As src/tensor/peak_memory.h: free memory is given back, the high-water mark reset, and read at the end."""

    def __init__(self, device):
        import torch

        self.cuda = torch.cuda if device.startswith("cuda") else None
        if self.cuda:
            self.cuda.reset_peak_memory_stats()
            self.start = self.cuda.memory_allocated()
            return
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        self.start = status_bytes("VmRSS")

    def bytes_above_start(self):
        return (self.cuda.max_memory_allocated() if self.cuda else status_bytes("VmHWM")) - self.start


def median_step(steps):
    """The step whose tokens/s is the median (the faster of two middle ones)."""
    ordered = sorted(steps, key=lambda step: -step["tokens"] / step["seconds"])
    return ordered[(len(ordered) - 1) // 2]


def measure_eager(options):
    """In a process of its own: the figures as JSON on standard output."""
    import torch

    import eager_step as eager

    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    with open(options.eager) as file:
        plan = json.load(file)
    dtype, padded = getattr(torch, options.dtype), options.mode == "published"
    decoder = eager.make_decoder(options.decoder, plan["model"], dtype, options.device)
    model = eager.EagerShine(decoder, plan["hypernetwork"], recompute=padded or options.recompute,
                             all_logits=padded)
    synchronize = torch.cuda.synchronize if options.device.startswith("cuda") else lambda: None
    memory = PeakMemory(options.device)
    optimizer = eager.make_optimizer(model)
    steps = []
    for index in list(range(options.warmup)) + list(range(options.steps)):
        batches = eager.step_batches(plan, index, padded, options.device)
        synchronize()
        start = time.perf_counter()
        loss = eager.run_step(model, optimizer, batches, dtype)
        synchronize()
        tokens = sum(sum(pair) for lengths in plan["batches"][index] for pair in lengths)
        steps.append({"seconds": time.perf_counter() - start, "tokens": tokens, "loss": loss})
    steps = steps[options.warmup:]
    middle = median_step(steps)
    print(json.dumps({
        "tokens_per_second": middle["tokens"] / middle["seconds"], "peak_memory_bytes": memory.bytes_above_start(),
        "trained_parameters": sum(parameter.numel() for parameter in model.trained()),
        "frozen_parameters": sum(parameter.numel() for parameter in decoder.parameters()
                                 if not parameter.requires_grad),
        "steps": steps}))


def run(words, **options):
    """A child that must succeed; what it says of its failure has been seen by then."""
    outcome = subprocess.run(words, text=True, **options)
    if outcome.returncode != 0:
        raise SystemExit(f"bench_step.py: error: {' '.join(words)}: status {outcome.returncode}")
    return outcome


def run_eager(options, plan_file, dtype, mode):
    words = [sys.executable, os.path.abspath(__file__), "--eager", plan_file, "--dtype", dtype, "--mode", mode,
             "--device", options.device, "--decoder", options.decoder, "--threads", str(options.threads),
             "--steps", str(options.steps), "--warmup", str(options.warmup)]
    words += ["--recompute"] if options.recompute else []
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    return json.loads(run(words, stdout=subprocess.PIPE, env=environment).stdout)


def program_words(options):
    words = [options.program, "--size", options.size, "--device", options.device, "--threads", str(options.threads),
             "--steps", str(options.steps), "--warmup", str(options.warmup)]
    return words + (["--recompute"] if options.recompute else []) + options.program_options.split()


def run_ours(options, folder, dtype):
    output = os.path.join(folder, "ours.json")
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    run(program_words(options) + ["--dtype", dtype, "--ops", "0", "--json", output], stdout=subprocess.DEVNULL,
        env=environment)
    with open(output) as file:
        return json.load(file)


def run_pairs(options, folder):
    """After every pair, figures by case: [(ours, theirs), ..]."""
    plan_file = os.path.join(folder, "plan.json")
    run(program_words(options) + ["--plan", plan_file], stdout=subprocess.DEVNULL)
    with open(plan_file) as file:
        plan = json.load(file)
    found = {case: [] for case in options.cases}
    for number in range(options.pairs):
        ours = {}
        for case in options.cases:
            our_dtype, dtype, mode = CASES[case]
            if our_dtype not in ours:
                ours[our_dtype] = run_ours(options, folder, our_dtype)
            theirs = run_eager(options, plan_file, dtype, mode)
            for key in ("trained_parameters", "frozen_parameters"):
                if theirs[key] != plan[key]:
                    raise SystemExit(f"bench_step.py: {key}: {theirs[key]} in the eager model, {plan[key]} in ours")
            found[case].append((ours[our_dtype], theirs))
        print(f"pair {number + 1} of {options.pairs} done", file=sys.stderr, flush=True)
        yield found


def summarise(case, pairs):
    def median(values):
        return statistics.median(list(values))

    ratios = [ours["tokens_per_second"] / theirs["tokens_per_second"] for ours, theirs in pairs]
    memory = [median(pair[side]["peak_memory_bytes"] for pair in pairs) for side in (0, 1)]
    return {"case": case, "ours_dtype": CASES[case][0], "eager_dtype": CASES[case][1], "eager_mode": CASES[case][2],
            "tokens_per_second": median(pair[0]["tokens_per_second"] for pair in pairs),
            "eager_tokens_per_second": median(pair[1]["tokens_per_second"] for pair in pairs),
            "ratio": median(ratios), "ratios": ratios, "peak_memory_bytes": memory[0],
            "eager_peak_memory_bytes": memory[1], "memory_share": memory[0] / memory[1],
            "floor_share": median(pair[0]["floor_share"] for pair in pairs)}


def check(options):
    """The largest relative errors against a fixture, plain and as published; 1 where one is above 1e-4."""
    from eager_check import errors_against

    worst = 0.0
    for published in (False, True):
        errors = errors_against(options.check, options.decoder, published)
        for name in sorted(errors, key=errors.get, reverse=True)[:3] + ["loss"]:
            print(f"{'published' if published else 'plain':<12}{name:<56} {errors[name]:.1e}")
        worst = max(worst, max(errors.values()))
    return 0 if worst < 1e-4 else 1


def print_table(rows):
    print("| case | ours, tokens/s | eager, tokens/s | ratio (lowest to highest) | ours, MiB | eager, MiB | memory | "
          "ours, share of the floor |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['case']} | {row['tokens_per_second']:.0f} | {row['eager_tokens_per_second']:.0f} "
              f"| {row['ratio']:.2f} ({min(row['ratios']):.2f} to {max(row['ratios']):.2f}) "
              f"| {row['peak_memory_bytes'] / 2**20:.0f} | {row['eager_peak_memory_bytes'] / 2**20:.0f} "
              f"| {row['memory_share']:.2f} | {100 * row['floor_share']:.0f} % |")


def write_figures(options, load, rows):
    with open(options.json + ".part", "w", encoding="utf-8") as file:
        json.dump({"size": options.size, "device": options.device, "threads": options.threads, "load_before": load,
                   "load_after": os.getloadavg()[0], "cases": rows}, file, indent=2)
    os.replace(options.json + ".part", options.json)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help="bench_step")
    parser.add_argument("--size", default="cpu-small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["float32", "bfloat16", "published"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="measured in each process; their median counts")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decoder", default="transformers", choices=["transformers", "torch"],
                        help="whose modules the eager step runs; torch: our own, for machines without transformers")
    parser.add_argument("--recompute", action="store_true", help="both recompute layers in the backward")
    parser.add_argument("--program-options", default="", help="more options of bench_step, in one word")
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--check", metavar="FOLDER", help="compare the eager model with a parity fixture")
    parser.add_argument("--eager", metavar="PLAN", help="measure the eager step alone, of a plan by bench_step --plan")
    parser.add_argument("--mode", default="plain", choices=["plain", "published"], help="with --eager")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"], help="with --eager")
    options = parser.parse_args()
    if options.check:
        raise SystemExit(check(options))
    if options.eager:
        return measure_eager(options)
    if not options.program:
        parser.error("--program is needed")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        for found in run_pairs(options, folder):
            rows = [summarise(case, pairs) for case, pairs in found.items()]
            if options.json:  # what has been measured stays if the rest is cut off
                write_figures(options, load, rows)
    print(f"{options.size} on {options.device}, {options.threads} threads, {options.pairs} pairs of medians of "
          f"{options.steps} steps; system load {load:.2f} before, {os.getloadavg()[0]:.2f} after (these included)")
    print_table(rows)


if __name__ == "__main__":
    main()
