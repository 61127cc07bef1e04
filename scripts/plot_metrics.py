#!/usr/bin/env python3
"""Draws the metrics of runs, side by side, into one PNG.

  scripts/tools_env.sh   # once: matplotlib in .venv-tools
  .venv-tools/bin/python scripts/plot_metrics.py RUN .. [--output metrics.png]

RUN is a run folder or its metrics.jsonl. Drawn over the optimizer steps: the training loss, the loss of each validation
set, the learning rate, and how alike the LoRAs of different contexts are. A number that is not finite leaves a gap.
"""
import argparse
import json
import math
import pathlib
import sys


def fail(message):
    sys.exit(f"plot_metrics: error: {message}")


def read_curves(run):
    """{panel: {curve: [(step, value), ..]}}; a last line that is still being written is left out."""
    path = pathlib.Path(run)
    path = path / "metrics.jsonl" if path.is_dir() else path
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as fault:
        fail(f"{path}: {fault} (name a run's folder)")
    curves = {"training loss": {}, "learning rate": {}, "LoRAs of different contexts": {}}
    sets = {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            event = json.loads(line)
            kind, step = event["kind"], event["step"]
        except (ValueError, KeyError, TypeError):
            if number == len(lines):
                break
            fail(f"{path}:{number}: no event of a run")

        def add(curves_of_panel, name, key):
            value = event.get(key)
            curves_of_panel.setdefault(name, []).append((step, math.nan if value is None else value))

        if kind == "train":
            add(curves["training loss"], "", "loss")
            add(curves["learning rate"], "", "learning_rate")
        elif kind == "validation":
            add(sets.setdefault("validation: " + event["set"], {}), "", "loss")
        elif kind == "diagnostics":
            add(curves["LoRAs of different contexts"], "mean cosine", "mean_cosine")
            add(curves["LoRAs of different contexts"], "share of their mean", "mean_share")
    return {**{"training loss": curves.pop("training loss")}, **sets, **curves}


def draw(runs, output):
    try:
        import matplotlib
    except ImportError:
        fail("no matplotlib (scripts/tools_env.sh makes .venv-tools: .venv-tools/bin/python scripts/plot_metrics.py ..)")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    all_curves = [read_curves(run) for run in runs]
    panels = []
    for curves in all_curves:
        panels += [panel for panel in curves if panel not in panels and curves[panel]]
    if not panels:
        fail(f"{', '.join(runs)}: no event to draw")
    order = ["training loss", *[p for p in panels if p.startswith("validation: ")], "learning rate"]
    panels.sort(key=lambda panel: order.index(panel) if panel in order else len(order))
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(5 * columns, 3.4 * rows), squeeze=False)
    for axis, panel in zip(axes.flat, panels):
        for index, (run, curves) in enumerate(zip(runs, all_curves)):
            for dash, (name, points) in zip(("-", "--"), curves.get(panel, {}).items()):
                label = f"{run} {name}".strip()
                axis.plot(*zip(*points), dash, color=f"C{index}", label=label, linewidth=1)
        axis.set_title(panel)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[len(panels):]:
        axis.axis("off")
    axes.flat[0].legend(fontsize="x-small")
    if panels[-1] == "LoRAs of different contexts":
        axes.flat[len(panels) - 1].legend(fontsize="x-small")
    figure.tight_layout()
    figure.savefig(output, dpi=120)
    print(f"{output}: {len(panels)} panels of {len(runs)} run{'' if len(runs) == 1 else 's'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--output", default="metrics.png")
    arguments = parser.parse_args()
    draw([run.rstrip("/") for run in arguments.runs], arguments.output)


main()
