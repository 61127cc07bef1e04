#!/usr/bin/env python3
"""Steps of training alone and beside a busy process, by turns, in one run.

  python3 scripts/bench_busy.py --programs build/release/bin [--cases tiny,tiny-world,backbone,cpu-small,ranks]
    [--rounds 5] [--variants "NAME:VARIABLE=VALUE,NAME:"] [--json FILE]

Each round takes every case twice, alone and beside --busy processes that do nothing but keep a core; a ratio is that of
the two times of one round, and the table has the medians over the rounds. A variant is an environment: the default one
is the caller's; "spin 0:GOMP_SPINCOUNT=0" is another. Several folders of programs, --programs NEW,OLD, are compared
too; a last column tells the time alone from that of the first. The machine should have nothing else to do.

  tiny, cpu-small   steps of bench_step, sizes of the model
  tiny-world        the first steps of configs/tiny-world/pretrain.yaml
  backbone          those of configs/tiny-world/backbone.yaml
  ranks             tiny-world on two ranks under mpirun, one thread each
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WARM_UP = 2  # steps of a run that are not counted
QUIET = ["checkpoint.every_steps=0", "validation.every_steps=0", "validation.at_start=false",
         "logging.every_steps=1", "logging.progress=none"]


class Busy:
    """Processes that keep a core each."""

    def __init__(self, count):
        self.count = count

    def __enter__(self):
        self.processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(self.count)]

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def run(words, environment):
    done = subprocess.run(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}: status {done.returncode}\n{done.stderr[-2000:]}")


def seconds_of_bench(programs, size, steps, environment, folder):
    output = os.path.join(folder, "step.json")
    run([f"{programs}/bench_step", "--size", size, "--ops", "0", "--steps", str(steps), "--json", output], environment)
    with open(output) as file:
        return sum(step["seconds"] for step in json.load(file)["steps"])


def seconds_of_training(programs, overrides, launcher, environment, folder):
    """Of the steps behind the first few."""
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        run([*launcher, f"{programs}/shine_train", *overrides, *QUIET, f"run.dir={directory}/run"], environment)
        with open(f"{directory}/run/metrics.jsonl") as file:
            steps = [event["seconds"] for event in map(json.loads, file) if event["kind"] == "train"]
    return sum(steps[WARM_UP:])


def two_ranks():
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    return ["mpirun", "--quiet", "--bind-to", "none", "--use-hwthread-cpus", *root, "-n", "2"]


def make_notes(programs, folder):
    """The small world's."""
    notes = os.path.join(folder, "notes")
    run([f"{programs}/shine_prepare", "tiny-world", "--output", notes], os.environ)
    return notes


def case_runner(case, options, notes, folder):
    """A function of (programs, environment) that gives the seconds of the case's steps."""
    steps = options.steps + WARM_UP
    world = ["configs/tiny-world/pretrain.yaml", f"data.train=['{notes}/train.txt']",
             f"data.validation=['{notes}/validation.txt']", f"run.max_steps={steps}"]
    backbone = ["configs/tiny-world/backbone.yaml", "text.tokenizer=configs/tiny-world/backbone",
                f"data.train=['{notes}/train.jsonl']", f"data.validation=['{notes}/validation.jsonl']",
                f"run.max_steps={steps}"]
    if case in ("tiny", "cpu-small"):
        count = max(1, options.steps // 7) if case == "cpu-small" else 4 * options.steps
        return lambda programs, environment: seconds_of_bench(programs, case, count, environment, folder)
    if case == "ranks":
        halves = ["optimizer.batch_size=16", "optimizer.accumulation=2", "run.threads=1"]
        return lambda programs, environment: seconds_of_training(
            programs, world + halves, two_ranks(), dict(environment, OMP_NUM_THREADS="1"), folder)
    overrides = {"tiny-world": world, "backbone": backbone}.get(case)
    if overrides is None:
        raise SystemExit(f"unknown case {case}")
    return lambda programs, environment: seconds_of_training(programs, overrides, [], environment, folder)


def parse_variants(text):
    variants = {}
    for part in text.split(","):
        name, _, setting = part.partition(":")
        variable, _, value = setting.partition("=")
        variants[name] = {variable: value} if variable else {}
    return variants


def measure(options):
    """(case, programs, variant) -> pairs of seconds, alone and beside."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        notes = make_notes(options.programs[0], folder)
        for number in range(options.rounds):
            for case in options.cases:
                runner = case_runner(case, options, notes, folder)
                for programs in options.programs:
                    for variant, settings in options.variants.items():
                        environment = dict(os.environ, **settings)
                        pair = {}
                        for beside in ((False, True), (True, False))[number % 2]:
                            with Busy(options.busy if beside else 0):
                                pair[beside] = runner(programs, environment)
                        found.setdefault((case, programs, variant), []).append((pair[False], pair[True]))
                        print(f"round {number + 1} {case} {programs} {variant}: alone {pair[False]:.3f} s, "
                              f"beside {pair[True]:.3f} s", file=sys.stderr, flush=True)
    return found


def table(found, options):
    lines = ["| case | programs | variant | alone, s | beside, s | ratio | least | most | alone against the first |",
             "|---|---|---|---|---|---|---|---|---|"]
    first = {}
    for (case, programs, variant), pairs in found.items():
        ratios = [beside / alone for alone, beside in pairs]
        alone = [pair[0] for pair in pairs]
        first.setdefault(case, alone)
        against = statistics.median(own / other for own, other in zip(alone, first[case]))
        lines.append(f"| {case} | {programs} | {variant} | {statistics.median(alone):.3f} | "
                     f"{statistics.median(pair[1] for pair in pairs):.3f} | {statistics.median(ratios):.2f} | "
                     f"{min(ratios):.2f} | {max(ratios):.2f} | {against:.3f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="folders of built programs, separated by commas")
    parser.add_argument("--cases", default="tiny,tiny-world,backbone,cpu-small,ranks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=28,
                        help="counted of each run; tiny: four times that, cpu-small: a seventh")
    parser.add_argument("--busy", type=int, default=1, help="processes that keep a core")
    parser.add_argument("--variants", default="as set:")
    parser.add_argument("--json", help="every pair goes to this file")
    options = parser.parse_args()
    options.programs = [os.path.abspath(folder) for folder in options.programs.split(",")]
    options.cases = options.cases.split(",")
    options.variants = parse_variants(options.variants)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {options.busy} busy beside", file=sys.stderr)
    found = measure(options)
    print(table(found, options))
    if options.json:
        rows = [{"case": case, "programs": programs, "variant": variant, "pairs": pairs}
                for (case, programs, variant), pairs in found.items()]
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
