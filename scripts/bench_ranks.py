"""Compares the time of one optimizer step between numbers of ranks and threads, in one run.

  python3 scripts/bench_ranks.py --program build/release/bin/bench_ranks [--cases 1x1,2x1,1x2] [--rounds 5]

A case is RANKSxTHREADS (threads of each rank); "s" behind it shards the optimizer. All cases take the same steps, in
turn, so that a change of the machine's load affects all of them; the median over all steps counts. Ranks are started as
the launch scripts start them. The losses of all cases must agree.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile


def launcher(ranks):
    script = "source scripts/lib/launch.sh && select_launcher && printf '%s\\n' \"${LAUNCHER[@]}\""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return subprocess.run(["bash", "-c", script, "bench_ranks"], cwd=root, env=dict(os.environ, RANKS=str(ranks)),
                          check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def command(options, ranks, threads, shard, output):
    words = [options.program, "--size", options.size, "--threads", str(threads), "--steps", str(options.steps),
             "--json", output] + (["--shard"] if shard else [])
    return words if ranks == 1 else launcher(ranks) + words


def measure(options, case):
    shard = case.endswith("s")
    ranks, threads = (int(part) for part in case.rstrip("s").split("x"))
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "found.json")
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        subprocess.run(command(options, ranks, threads, shard, output), check=True, stdout=subprocess.DEVNULL,
                       env=environment)
        with open(output) as file:
            return json.load(file)


def check_losses(found):
    """The same steps must have the same losses, whoever computed them."""
    first = next(iter(found.values()))[0]["loss"]
    for case, rounds in found.items():
        for one in rounds:
            worst = max(abs(a / b - 1) for a, b in zip(one["loss"], first))
            if worst > 1e-5:
                raise SystemExit(f"the losses of {case} differ by {worst:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--cases", default="1x1,2x1,1x2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="measured in each case and round")
    parser.add_argument("--size", default="cpu-small")
    options = parser.parse_args()
    cases = options.cases.split(",")
    found = {case: [] for case in cases}
    for number in range(options.rounds):
        for case in cases:
            found[case].append(measure(options, case))
        print(f"round {number + 1} of {options.rounds} done", flush=True)
    check_losses(found)

    def all_of(case, key):
        return [value for one in found[case] for value in one[key]]

    base = statistics.median(all_of(cases[0], "seconds"))
    print("\n| ranks x threads | step, s | tokens/s | against the first | waiting for other ranks | moments a rank, MiB |")
    print("|---|---|---|---|---|---|")
    for case in cases:
        seconds = statistics.median(all_of(case, "seconds"))
        speed = statistics.median(t / s for t, s in zip(all_of(case, "tokens"), all_of(case, "seconds")))
        waiting = statistics.median(
            c / s for c, s in zip(all_of(case, "communication_seconds"), all_of(case, "seconds")))
        moments = found[case][0]["moment_bytes"] / 2**20
        print(f"| {case} | {seconds:.3f} | {speed:.0f} | {base / seconds:.2f} | {100 * waiting:.1f} % | {moments:.1f} |")


if __name__ == "__main__":
    main()
