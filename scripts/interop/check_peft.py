"""Loads the PEFT folders and the merged models in PEFT and transformers: check_peft.py CASES_FOLDER"""
import sys
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from cases import Case, Comparison, families, read_cases


def logits_of(model, ids: list[int]):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def greedy_of(model, ids: list[int], count: int) -> list[int]:
    out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                         max_new_tokens=count, min_new_tokens=count, do_sample=False, pad_token_id=0, eos_token_id=None)
    return out[0, len(ids):].tolist()


def load_backbone(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def load_adapter(backbone: Path, folder: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("error", message=".*(missing|unexpected|adapter).*")  # a key that PEFT does not find
        return PeftModel.from_pretrained(load_backbone(backbone), folder).eval()


def check_two(comparison: Comparison, folder: Path, family: str) -> None:
    case = Case(folder, family, "two")
    model = load_adapter(case.backbone, case.folder / "first" / "peft")
    model.load_adapter(case.folder / "second" / "peft", "second")
    model.add_weighted_adapter(["default", "second"], [0.7, 0.3], "sum", combination_type="cat")
    model.set_adapter("sum")
    comparison.logits(case, "two adapters joined by PEFT", logits_of(model, case.ids), case.adapted)
    model = load_adapter(case.backbone, case.folder / "sum" / "peft")
    comparison.logits(case, "two adapters joined by us", logits_of(model, case.ids), case.adapted)


def main() -> int:
    folder = Path(sys.argv[1])
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    comparison = Comparison("PEFT", 1e-5)
    for family in families(folder):
        for case in read_cases(folder, family):
            comparison.adapter_matters(case)
            model = load_adapter(case.backbone, case.folder / "peft")
            comparison.logits(case, "PEFT folder", logits_of(model, case.ids), case.adapted)
            comparison.tokens(case, "PEFT folder", greedy_of(model, case.ids, len(case.greedy)), case.greedy)
            with model.disable_adapter():
                comparison.logits(case, "backbone alone", logits_of(model, case.ids), case.plain)
            merged = load_backbone(case.folder / "merged")
            comparison.logits(case, "merged model", logits_of(merged, case.ids), case.adapted)
        check_two(comparison, folder, family)
    return comparison.finish()


if __name__ == "__main__":
    sys.exit(main())
