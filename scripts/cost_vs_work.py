#!/usr/bin/env python3
"""Measures how the time of an optimizer step grows with the work: context length, batch, rank of the generated LoRA.

    python3 scripts/cost_vs_work.py --program build/release/bin/bench_step --output results/cost

Each sweep changes one number of bench_step's --size and leaves the others as they are (256 tokens a context and a
conversation, batch 1, one micro-batch). Writes cost.md (a table), cost.jsonl (a line a point) and cost.svg into the
output folder. "ratio" is the time a FLOP takes at a point over the least it took at any smaller point of the sweep:
above --limit, time has grown faster than the FLOPs say, and the exit status is 1.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import tempfile

SWEEPS = {
    "context": ("--context", "tokens of a context", [128, 256, 512, 1024, 2048, 4096]),
    "batch": ("--batch", "samples in a micro-batch", [1, 2, 4, 8, 16]),
    "rank": ("--rank", "rank of the generated LoRA", [1, 2, 4, 8, 16, 32]),
}
FIXED = {"--context": 256, "--conversation": 256, "--batch": 1, "--accumulation": 1}


def measure(options, sweep, value):
    numbers = dict(FIXED, **{SWEEPS[sweep][0]: value})
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "step.json")
        words = [options.program, "--size", options.size, "--dtype", options.dtype, "--device", options.device,
                 "--threads", str(options.threads), "--steps", str(options.steps), "--warmup", "1", "--ops", "0",
                 "--json", output]
        for option, number in numbers.items():
            words += [option, str(number)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        with open(output) as file:
            found = json.load(file)
    return {"sweep": sweep, "value": value, "seconds": found["seconds_per_step"], "flops": found["steps"][0]["flops"],
            "tokens_per_second": found["tokens_per_second"], "peak_memory_bytes": found["peak_memory_bytes"],
            "load": found["load_before"]}


def add_ratios(points):
    """Points of one sweep, smallest first."""
    for index, point in enumerate(points):
        cost = point["seconds"] / point["flops"]
        earlier = [other["seconds"] / other["flops"] for other in points[:index]]
        point["ratio"] = cost / min(earlier, default=cost)


def table(points, options):
    lines = [f"Optimizer steps of `{options.size}`, {options.dtype} on {options.device}, {options.threads} threads, "
             f"median of {options.steps}; system load {points[0]['load']:.1f} at the first point.", ""]
    for sweep, (_, what, _) in SWEEPS.items():
        own = [point for point in points if point["sweep"] == sweep]
        if not own:
            continue
        lines += [f"| {what} | ms a step | tokens/s | GFLOP a step | GFLOP/s | ratio | peak memory, MiB |",
                  "|---|---|---|---|---|---|---|"]
        for point in own:
            lines.append(f"| {point['value']} | {1e3 * point['seconds']:.0f} | {point['tokens_per_second']:.0f} "
                         f"| {1e-9 * point['flops']:.1f} | {1e-9 * point['flops'] / point['seconds']:.0f} "
                         f"| {point['ratio']:.2f} | {point['peak_memory_bytes'] / 2**20:.0f} |")
        lines.append("")
    return "\n".join(lines)


class Panel:
    """One sweep in double-logarithmic axes: measured time, and a line that grows as the FLOPs do."""
    WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 380, 320, 60, 40, 15, 50

    def __init__(self, number, title, points):
        self.shift, self.title, self.points = number * self.WIDTH, title, points
        first = points[0]
        self.expected = [first["seconds"] * point["flops"] / first["flops"] for point in points]
        times = [point["seconds"] for point in points] + self.expected
        self.low, self.high = min(times) / 1.3, max(times) * 1.3

    def x(self, value):
        first, last = (math.log(self.points[place]["value"]) for place in (0, -1))
        share = (math.log(value) - first) / max(last - first, 1e-9)
        return self.shift + self.LEFT + share * (self.WIDTH - self.LEFT - self.RIGHT)

    def y(self, seconds):
        share = (math.log(seconds) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return self.HEIGHT - self.BOTTOM - share * (self.HEIGHT - self.TOP - self.BOTTOM)

    def line(self, seconds, style):
        places = " ".join(f"{self.x(point['value']):.1f},{self.y(time):.1f}"
                          for point, time in zip(self.points, seconds))
        return f'<polyline points="{places}" fill="none" {style}/>'

    def draw(self):
        base, left = self.HEIGHT - self.BOTTOM, self.shift + self.LEFT
        parts = [f'<path d="M{left} {self.TOP}V{base}H{self.shift + self.WIDTH - self.RIGHT}" fill="none" '
                 'stroke="black"/>',
                 f'<text x="{left}" y="{self.TOP - 15}">{self.title}</text>',
                 f'<text x="{left}" y="{self.HEIGHT - 10}" fill="#06c">ms a step</text>',
                 f'<text x="{left + 90}" y="{self.HEIGHT - 10}" fill="#888">as the FLOPs from the first point</text>',
                 self.line(self.expected, 'stroke="#888" stroke-dasharray="5 4"'),
                 self.line([point["seconds"] for point in self.points], 'stroke="#06c" stroke-width="2"')]
        for point in self.points:
            x, y = self.x(point["value"]), self.y(point["seconds"])
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#06c"/>',
                      f'<text x="{x:.1f}" y="{base + 18}" text-anchor="middle">{point["value"]}</text>',
                      f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle" fill="#06c">'
                      f'{1e3 * point["seconds"]:.0f}</text>']
        return parts


def plot(points):
    panels = []
    for sweep, (_, what, _) in SWEEPS.items():
        own = [point for point in points if point["sweep"] == sweep]
        if own:
            panels.append(Panel(len(panels), what, own))
    body = [part for panel in panels for part in panel.draw()]
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{Panel.WIDTH * len(panels)}" height="{Panel.HEIGHT}" '
            'font-family="sans-serif" font-size="11">')
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="bench_step")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder to write")
    parser.add_argument("--size", default="cpu-small")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--largest", type=int, default=4096, help="leave larger values of every sweep out")
    parser.add_argument("--limit", type=float, default=1.25, help="of the ratio; noise counts")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    points = []
    for sweep in options.sweeps:
        own = [measure(options, sweep, value) for value in SWEEPS[sweep][2] if value <= options.largest]
        add_ratios(own)
        points += own
    text = table(points, options)
    (options.output / "cost.md").write_text(text)
    (options.output / "cost.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    (options.output / "cost.svg").write_text(plot(points))
    print(text)
    faster = [point for point in points if point["ratio"] > options.limit]
    for point in faster:
        print(f"{point['sweep']} {point['value']}: a FLOP takes {point['ratio']:.2f} times as long as at a smaller one")
    raise SystemExit(1 if faster else 0)


if __name__ == "__main__":
    main()
