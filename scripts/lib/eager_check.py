"""Checks scripts/lib/eager_step.py against a parity fixture: what is measured is SHINE's step, not something near it."""

import json
import os

import torch
from eager_step import IGNORED, PROJECTIONS, EagerShine, causal_mask, labelled_positions, make_decoder
from safetensors.torch import load_file


def fixture_batch(inputs, memory_tokens):
    """Micro-batch 0, padded on the left as the fixture has it."""
    context_real, real = inputs["0.context_mask"].bool(), inputs["0.input_mask"].bool()
    memory = torch.ones(real.size(0), memory_tokens, dtype=torch.bool)
    return {"context_ids": inputs["0.context_ids"], "context_mask": causal_mask(torch.cat([context_real, memory], 1)),
            "ids": inputs["0.input_ids"], "mask": causal_mask(real), "labels": inputs["0.labels"],
            "labelled": labelled_positions(inputs["0.labels"])}


def load_decoder(folder, kind):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    names = {"vocab_size": "vocab_size", "hidden_size": "hidden_size", "intermediate_size": "intermediate_size",
             "layers": "num_hidden_layers", "heads": "num_attention_heads", "kv_heads": "num_key_value_heads",
             "head_dim": "head_dim", "rope_theta": "rope_theta", "rms_norm_eps": "rms_norm_eps",
             "max_positions": "max_position_embeddings", "tied_embeddings": "tie_word_embeddings"}
    decoder = make_decoder(kind, {ours: config[theirs] for ours, theirs in names.items()}, torch.float32, "cpu")
    weights = load_file(os.path.join(folder, "model.safetensors"))
    if config["tie_word_embeddings"]:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    decoder.load_state_dict(weights)
    return decoder


def load_weights(model, folder):
    def load(name):
        return torch.load(os.path.join(folder, "checkpoint", name), weights_only=True)

    model.m2p.load_state_dict(load("metanetwork.pth"))
    model.mem_tokens.data = load("mem_tokens.pt").detach()
    meta = load("metalora.pth")
    leaves = iter(model.meta_lora)
    for layer in range(len(model.decoder.model.layers)):
        for block, name in PROJECTIONS:
            weights = meta[layer]["mlp" if block == "mlp" else "attention"][name.removesuffix("_proj")]
            next(leaves).data, next(leaves).data = weights["A"].detach(), weights["B"].detach()


def named_gradients(model):
    """By the fixture's names; the key's third of in_proj_bias is left out: its exact gradient is zero."""
    found = {"mem_tokens": model.mem_tokens.grad}
    for name, parameter in model.m2p.named_parameters():
        found["metanetwork." + name] = parameter.grad
    leaves = iter(model.meta_lora)
    for layer in range(len(model.decoder.model.layers)):
        for block, name in PROJECTIONS:
            prefix = f"metalora.{layer}.{'mlp' if block == 'mlp' else 'attention'}.{name.removesuffix('_proj')}."
            found[prefix + "A"], found[prefix + "B"] = next(leaves).grad, next(leaves).grad
    return found


def without_key_bias(name, tensor):
    if not name.endswith("in_proj_bias"):
        return tensor
    query, _, value = tensor.chunk(3)
    return torch.cat([query, value])


def errors_against(folder, kind, published):
    """Relative errors of the loss and of every gradient; `published`: with recomputation and all logits."""
    with open(os.path.join(folder, "fixture.json")) as file:
        fixture = json.load(file)
    expected = load_file(os.path.join(folder, "expected.safetensors"))
    inputs = load_file(os.path.join(folder, "inputs.safetensors"))
    decoder = load_decoder(os.path.join(folder, "backbone"), kind)
    m2p = fixture["m2p"]
    model = EagerShine(decoder, {
        "lora_rank": fixture["lora_r"], "meta_lora_rank": fixture["meta_lora_r"],
        "memory_tokens": fixture["memory_tokens"], "m2p_layers": m2p["num_layers"], "m2p_heads": m2p["nhead"],
        "m2p_feedforward": m2p["dim_feedforward"]}, recompute=published, all_logits=published)
    load_weights(model, folder)
    batch = fixture_batch(inputs, fixture["memory_tokens"])
    loss = model(batch) / (batch["labels"][:, 1:] != IGNORED).sum()
    loss.backward()
    errors = {"loss": abs(loss.item() / expected["loss"].item() - 1)}
    for name, gradient in named_gradients(model).items():
        wanted = without_key_bias(name, expected["grad." + name])
        errors[name] = ((without_key_bias(name, gradient) - wanted).norm() / wanted.norm()).item()
    return errors
