"""Loads the GGUF adapters in llama.cpp (xllamacpp): check_llama_cpp.py CASES_FOLDER"""
import sys
from pathlib import Path

import numpy as np
import xllamacpp

from cases import Case, Comparison, families, read_cases
from gguf_backbone import END, write_gguf_backbone


def start(model: Path, adapters: list[tuple[Path, float]]):
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 256, 1, 0
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup, params.verbosity = False, -1
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), scale) for path, scale in adapters]
    return xllamacpp.Server(params)


def answer(server, ids: list[int], count: int, vocabulary: int) -> tuple[list[int], np.ndarray]:
    """Greedy tokens, and the log-probabilities of the first, (V)."""
    reply = server.handle_completions({"prompt": ids, "n_predict": count, "temperature": 0.0, "n_probs": vocabulary,
                                       "cache_prompt": False})
    if "choices" not in reply:
        raise RuntimeError(str(reply))
    steps = reply["choices"][0]["logprobs"]["content"]
    row = np.full(vocabulary, np.nan)
    for entry in steps[0]["top_logprobs"]:
        row[entry["id"]] = entry["logprob"]
    return [step["id"] for step in steps], row


def log_softmax(row: np.ndarray) -> np.ndarray:
    row = row.astype(np.float64) - row.max()
    return row - np.log(np.exp(row).sum())


def check(comparison: Comparison, case: Case, what: str, model: Path, adapters, expected: np.ndarray, greedy) -> None:
    tokens, row = answer(start(model, adapters), case.ids, len(case.greedy), expected.shape[1])
    if case.name.endswith("bfloat16"):  # where A and B are bfloat16, llama.cpp rounds what it multiplies them with too
        comparison.logits(case, what, row, log_softmax(expected[-1]), limit=0.02)
        return
    comparison.logits(case, what, row, log_softmax(expected[-1]))
    if greedy is not None:  # llama.cpp ends an answer at the end token
        comparison.tokens(case, what, tokens, greedy[: greedy.index(END) + 1] if END in greedy else greedy)


def main() -> int:
    folder = Path(sys.argv[1])
    comparison = Comparison("llama.cpp", 1e-6)
    for family in families(folder):
        model = folder / family / "backbone.gguf"
        write_gguf_backbone(folder / family / "backbone", model)
        cases = read_cases(folder, family)
        check(comparison, cases[0], "backbone alone", model, [], cases[0].plain, None)
        for case in cases:
            check(comparison, case, "GGUF adapter", model, [(case.folder / "adapter.gguf", 1.0)], case.adapted,
                  case.greedy)
        two = Case(folder, family, "two")
        check(comparison, two, "two adapters joined by llama.cpp", model,
              [(two.folder / "first" / "adapter.gguf", 0.7), (two.folder / "second" / "adapter.gguf", 0.3)],
              two.adapted, two.greedy)
        check(comparison, two, "two adapters joined by us", model, [(two.folder / "sum" / "adapter.gguf", 1.0)],
              two.adapted, two.greedy)
    return comparison.finish()


if __name__ == "__main__":
    sys.exit(main())
