"""Plants faults in adapters: shine_export must refuse each, naming it, and leave nothing behind; what PEFT and
llama.cpp make of the same file stands beside it. check_faults.py CASES_FOLDER"""
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader, GGUFWriter
from peft import PeftModel
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from check_llama_cpp import start
from gguf_backbone import write_gguf_backbone

ROOT = Path(__file__).resolve().parents[2]
CASE = "r8-rl-float32"
FIRST = "base_model.model.model.layers.0.self_attn.q_proj"


class Folder:
    """A PEFT folder in pieces."""

    def __init__(self, folder: Path):
        self.config = json.loads((folder / "adapter_config.json").read_text())
        self.tensors = load_file(folder / "adapter_model.safetensors")

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text(json.dumps(self.config))
        save_file({name: np.ascontiguousarray(t) for name, t in self.tensors.items()},
                  folder / "adapter_model.safetensors")

    def rename(self, old: str, new: str) -> None:
        self.tensors = {name.replace(old, new): tensor for name, tensor in self.tensors.items()}


def wrong_prefix(f: Folder): f.rename("base_model.model.model.layers", "base_model.model.transformer.layers")
def missing_half(f: Folder): del f.tensors[FIRST + ".lora_B.weight"]
def rank_of_config(f: Folder): f.config["r"] = 4
def not_a_number(f: Folder): f.tensors[FIRST + ".lora_A.weight"][0, 0] = np.nan
def dora(f: Folder): f.config["use_dora"] = True
def saved_modules(f: Folder): f.config["modules_to_save"] = ["lm_head"]
def biases(f: Folder): f.config["bias"] = "lora_only"
def other_method(f: Folder): f.config["peft_type"] = "IA3"
def layer_beyond(f: Folder): f.rename("layers.2.", "layers.9.")
def unknown_key(f: Folder): f.config["lora_magnitude"] = 2.0
def module_not_named(f: Folder): f.config["target_modules"] = ["k_proj"]


def transposed(f: Folder):
    for half in (".lora_A.weight", ".lora_B.weight"):
        f.tensors[FIRST + half] = f.tensors[FIRST + half].T


# Each with a word that the refusal must hold.
FAULTS = [(wrong_prefix, "transformer"), (missing_half, "without its B"), (rank_of_config, "rank"), (not_a_number, "finite"),
          (dora, "use_dora"), (saved_modules, "modules_to_save"), (biases, "bias"), (other_method, "IA3"),
          (layer_beyond, "9"), (unknown_key, "lora_magnitude"), (module_not_named, "target_modules"),
          (transposed, "shape")]


def refusal(config: Path, adapter: Path, output: Path) -> str:
    """The one line with which shine_export refuses the adapter; empty if it does not, or leaves something."""
    command = [ROOT / "build/release/bin/shine_export", config, "--adapter", adapter, "--format", "shine", "--output",
               output]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    lines = [line for line in done.stderr.splitlines() if "error" in line]
    if done.returncode == 0 or len(lines) != 1 or output.exists():
        return ""
    return lines[0]


def in_peft(backbone: Path, adapter: Path) -> str:
    model = AutoModelForCausalLM.from_pretrained(backbone, dtype=torch.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", FutureWarning)
        try:
            model = PeftModel.from_pretrained(model, adapter)
            with torch.no_grad():
                finite = bool(torch.isfinite(model(torch.tensor([[1, 2, 3]])).logits).all())
        except Exception as fault:  # noqa: BLE001: whatever it is, PEFT refuses
            return f"refused ({type(fault).__name__})"
    if not finite:
        return "loaded, and the logits are not numbers"
    return "a warning alone" if caught else "loaded in silence"


def in_llama_cpp(model: Path, adapter: Path) -> str:
    try:
        start(model, [(adapter, 1.0)])
    except RuntimeError:
        return "refused"
    return "loaded"


def write_gguf(source: Path, target: Path, architecture: str, leave_out: str = "") -> None:
    reader = GGUFReader(source)
    writer = GGUFWriter(target, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for tensor in reader.tensors:
        if tensor.name != leave_out:
            writer.add_tensor(tensor.name, np.array(tensor.data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Table:
    def __init__(self):
        self.failed = self.count = 0

    def add(self, fault: str, here: str, word: str, elsewhere: str) -> None:
        holds = bool(here) and word.lower() in here.lower()
        self.count += 1
        self.failed += not holds
        print(f"{'' if holds else 'NOT REFUSED: '}{fault}: here: {here or 'taken'}; there: {elsewhere}")


def main() -> int:
    folder = Path(sys.argv[1])
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    work = folder / "faults"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    backbone, good = folder / "qwen3" / "backbone", folder / "qwen3" / CASE
    config = work / "config.yaml"
    config.write_text(f"base: {ROOT}/configs/tiny-world/ift_mqa.yaml\nmodel:\n  path: {backbone}\n")
    table = Table()

    assert refusal(config, good / "peft", work / "good-out") == "" and (work / "good-out").exists()
    for plant, word in FAULTS:
        adapter = Folder(good / "peft")
        plant(adapter)
        adapter.write(work / plant.__name__)
        table.add("PEFT, " + plant.__name__.replace("_", " "), refusal(config, work / plant.__name__, work / "out"),
                  word, in_peft(backbone, work / plant.__name__))
    other = folder / "llama" / CASE / "peft"
    table.add("PEFT, another backbone", refusal(config, other, work / "out"), "shape", in_peft(backbone, other))

    shutil.copytree(backbone, work / "other_weights")
    weights = load_file(backbone / "model.safetensors")
    save_file({name: tensor * np.float32(1.01) for name, tensor in weights.items()},
              work / "other_weights" / "model.safetensors")
    other_config = work / "other_weights.yaml"
    other_config.write_text(config.read_text().replace(str(backbone), str(work / "other_weights")))
    table.add("PEFT, a backbone of the same shapes", refusal(other_config, good / "peft", work / "out"), "backbone",
              in_peft(work / "other_weights", good / "peft"))

    model = work / "backbone.gguf"
    write_gguf_backbone(backbone, model)
    write_gguf(good / "adapter.gguf", work / "same.gguf", "qwen3")
    assert refusal(config, work / "same.gguf", work / "same-out") == ""
    assert in_llama_cpp(model, work / "same.gguf") == "loaded"
    write_gguf(good / "adapter.gguf", work / "architecture.gguf", "llama")
    write_gguf(good / "adapter.gguf", work / "half.gguf", "qwen3", leave_out="blk.0.attn_q.weight.lora_b")
    (work / "short.gguf").write_bytes((good / "adapter.gguf").read_bytes()[:-64])
    for name, word in (("architecture", "llama"), ("half", "without its B"), ("short", "byte")):
        file = work / f"{name}.gguf"
        table.add(f"GGUF, {name}", refusal(config, file, work / "out"), word, in_llama_cpp(model, file))
    print(f"faults: {table.count} planted, {table.failed} not refused as expected")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
