"""Loads the MLX folders in mlx-lm: check_mlx.py CASES_FOLDER"""
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_adapters, load_model

from cases import Comparison, families, read_cases


def logits_of(model, ids: list[int]) -> np.ndarray:
    return np.array(model(mx.array([ids]))[0].astype(mx.float32))


def greedy_of(model, ids: list[int], count: int) -> list[int]:
    cache, tokens, new = make_prompt_cache(model), [], list(ids)
    while len(tokens) < count:
        new = [int(mx.argmax(model(mx.array([new]), cache=cache)[0, -1]))]
        tokens += new
    return tokens


def main() -> int:
    folder = Path(sys.argv[1])
    mx.set_default_device(mx.cpu)
    comparison = Comparison("MLX", 1e-5)
    for family in families(folder):
        for case in read_cases(folder, family):
            model, _ = load_model(case.backbone)
            comparison.logits(case, "backbone alone", logits_of(model, case.ids), case.plain)
            model = load_adapters(model, str(case.folder / "mlx"))
            model.eval()
            comparison.logits(case, "MLX folder", logits_of(model, case.ids), case.adapted)
            comparison.tokens(case, "MLX folder", greedy_of(model, case.ids, len(case.greedy)), case.greedy)
    return comparison.finish()


if __name__ == "__main__":
    sys.exit(main())
