"""SHINE's optimizer step in eager PyTorch, with the decoder of transformers or that of eager_decoder.py: what
scripts/bench_step.py measures against.

The same work as the programs': contexts with memory embeddings through the frozen decoder under the Meta-LoRA, memory
states after every layer, the M2P of torch.nn.TransformerEncoderLayer, its output cut into one LoRA a sample (`rl`),
the conversation's cross-entropy under that LoRA as the mean over the step's labels, backward, clipping, AdamW. Logits
are computed of the labelled positions alone, unless `all_logits`. One thing ours leaves out and this does not: ours
computes the last layer, but for its keys and values, only for the tokens that are read (memory tokens, labelled
positions).
"""

import contextlib
import math
import random

import torch
import torch._dynamo  # the optimizer would import it at its first step, and its memory would be the step's
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

PROJECTIONS = [("self_attn", "q_proj"), ("self_attn", "k_proj"), ("self_attn", "v_proj"), ("self_attn", "o_proj"),
               ("mlp", "gate_proj"), ("mlp", "up_proj"), ("mlp", "down_proj")]
SCALE = 0.001
IGNORED = -100


class LoraLinear(nn.Module):
    """A frozen linear map that adds (x A) B while it is given a LoRA."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.lora = None

    def forward(self, x):
        y = self.base(x)
        if self.lora is None:
            return y
        a, b = (factor[0] if factor.size(0) == 1 else factor for factor in self.lora)
        return y + (x @ a) @ b


class M2p(nn.Module):
    """Memory states (B, L, M, H) to the generated vector (B, L * M * H)."""

    def __init__(self, hidden, layers, memory_tokens, encoder_layers, heads, feedforward):
        super().__init__()
        self.layer_pe = nn.Parameter(torch.zeros(layers, hidden))
        self.token_pe = nn.Parameter(torch.zeros(memory_tokens, hidden))
        self.transformer_layers = nn.ModuleList(
            nn.TransformerEncoderLayer(hidden, heads, feedforward, dropout=0.0, activation="gelu", batch_first=True)
            for _ in range(encoder_layers))

    def forward(self, states):
        batch, layers, tokens, hidden = states.shape
        x = states + self.layer_pe[:, None] + self.token_pe
        for index, layer in enumerate(self.transformer_layers):
            if index % 2 == 0:
                x = x.transpose(1, 2).reshape(batch * tokens, layers, hidden)
                x = layer(x).view(batch, tokens, layers, hidden).transpose(1, 2)
            else:
                x = layer(x.reshape(batch * layers, tokens, hidden)).view(batch, layers, tokens, hidden)
        return x.reshape(batch, -1)


def of_transformers(model):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=model["vocab_size"], hidden_size=model["hidden_size"], num_hidden_layers=model["layers"],
        intermediate_size=model["intermediate_size"], num_attention_heads=model["heads"],
        num_key_value_heads=model["kv_heads"], head_dim=model["head_dim"], rope_theta=model["rope_theta"],
        rms_norm_eps=model["rms_norm_eps"], max_position_embeddings=model["max_positions"],
        tie_word_embeddings=model["tied_embeddings"], attn_implementation="sdpa")
    return Qwen3ForCausalLM(config)


def of_torch(model):
    from eager_decoder import Decoder

    return Decoder(model)


DECODERS = {"transformers": of_transformers, "torch": of_torch}


def make_decoder(kind, model, dtype, device):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with torch.device(device):
        decoder = DECODERS[kind](model)
    torch.set_default_dtype(before)
    return decoder


class EagerShine(nn.Module):
    """All weights; the decoder's are frozen. `recompute`: gradient checkpointing of every decoder layer; `all_logits`:
    of every position, as transformers computes them."""

    def __init__(self, decoder, shape, recompute=False, all_logits=False):
        super().__init__()
        self.all_logits = all_logits
        self.decoder = decoder.requires_grad_(False)
        self.rank, self.recompute = shape["lora_rank"], recompute
        device, hidden = decoder.device, decoder.config.hidden_size
        meta_rank, self.memory_tokens = shape["meta_lora_rank"], shape["memory_tokens"]
        with torch.device(device):
            self.mem_tokens = nn.Parameter(torch.zeros(self.memory_tokens, hidden))
            self.m2p = M2p(hidden, len(decoder.model.layers), self.memory_tokens, shape["m2p_layers"],
                           shape["m2p_heads"], shape["m2p_feedforward"])
            self.meta_lora = nn.ParameterList()
            self.sizes = []
            for layer in decoder.model.layers:
                for block, name in PROJECTIONS:
                    linear = getattr(getattr(layer, block), name)
                    setattr(getattr(layer, block), name, LoraLinear(linear))
                    self.meta_lora.append(nn.Parameter(torch.randn(1, linear.in_features, meta_rank) * SCALE**0.5))
                    self.meta_lora.append(nn.Parameter(torch.zeros(1, meta_rank, linear.out_features)))
                    if layer is decoder.model.layers[0]:
                        self.sizes.append((linear.in_features, linear.out_features))

    def slice(self, vector):
        """The vector's blocks of one layer each, cut row-wise into A and B of every projection."""
        layers = len(self.decoder.model.layers)
        lora = []
        for block in vector.view(vector.size(0), layers, -1).unbind(1):
            start = 0
            for width_in, width_out in self.sizes:
                for height, width in ((width_in, self.rank), (self.rank, width_out)):
                    numbers = block[:, start:start + height * width]
                    lora.append(numbers.view(-1, height, width) * math.sqrt(SCALE))
                    start += height * width
        return lora

    def run_layers(self, hidden, mask, lora, visit=None):
        positions = torch.arange(hidden.size(1), device=hidden.device)[None]
        rotary = self.decoder.model.rotary_emb(hidden, positions)
        per_layer = 2 * len(PROJECTIONS)

        def run(layer, factors, x):
            for index, (block, name) in enumerate(PROJECTIONS):
                getattr(getattr(layer, block), name).lora = factors[2 * index:2 * index + 2]
            return layer(x, attention_mask=mask, position_embeddings=rotary, position_ids=positions)

        for index, layer in enumerate(self.decoder.model.layers):
            factors = [factor.to(hidden.dtype) for factor in lora[index * per_layer:(index + 1) * per_layer]]
            if self.recompute:
                hidden = checkpoint(run, layer, factors, hidden, use_reentrant=False)
            else:
                hidden = run(layer, factors, hidden)
            if visit:
                visit(hidden)
        return hidden

    def memory_states(self, batch):
        embedded = self.decoder.model.embed_tokens(batch["context_ids"])
        memory = self.mem_tokens.to(embedded.dtype).expand(embedded.size(0), -1, -1)
        states = []
        self.run_layers(torch.cat([embedded, memory], 1), batch["context_mask"], list(self.meta_lora),
                        lambda hidden: states.append(hidden[:, -self.memory_tokens:]))
        return torch.stack(states, 1)

    def forward(self, batch):
        """The sum of the cross-entropy over all labels."""
        lora = self.slice(self.m2p(self.memory_states(batch)))
        hidden = self.decoder.model.embed_tokens(batch["ids"])
        hidden = self.decoder.model.norm(self.run_layers(hidden, batch["mask"], lora)).flatten(0, 1)
        targets = next_labels(batch["labels"])
        if not self.all_logits:
            hidden, targets = hidden[batch["labelled"]], targets[batch["labelled"]]
        logits = self.decoder.lm_head(hidden).float()
        return functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")

    def trained(self):
        return [parameter for parameter in self.parameters() if parameter.requires_grad]


def next_labels(labels):
    """(B, T) -> (B * T): at every position the label of the token behind it."""
    return functional.pad(labels, (0, 1), value=IGNORED)[:, 1:].flatten()


def labelled_positions(labels):
    """Flat indices of the positions that predict a label."""
    return (next_labels(labels) != IGNORED).nonzero().flatten()


def causal_mask(real):
    """(B, 1, T, T), true where attention is allowed; None where every token is real. Pads see themselves."""
    if bool(real.all()):
        return None
    width = real.size(1)
    seen = torch.ones(width, width, dtype=torch.bool, device=real.device).tril() & real[:, None, :]
    return (seen | torch.eye(width, dtype=torch.bool, device=real.device))[:, None]


def make_batch(lengths, widths, vocabulary, memory_tokens, rng, device):
    """Random tokens for samples of [context, conversation] lengths; contexts are padded on the left, so that the memory
    comes last, conversations on the right. The last three quarters of a conversation are labelled."""
    def rows(index, left):
        longest = widths[index] if widths else max(pair[index] for pair in lengths)
        ids = torch.zeros(len(lengths), longest, dtype=torch.long)
        real = torch.zeros(len(lengths), longest, dtype=torch.bool)
        for row, pair in enumerate(lengths):
            place = slice(longest - pair[index], longest) if left else slice(0, pair[index])
            ids[row, place] = torch.tensor([rng.randrange(vocabulary) for _ in range(pair[index])])
            real[row, place] = True
        return ids.to(device), real.to(device)

    context_ids, context_real = rows(0, True)
    ids, real = rows(1, False)
    labels = ids.masked_fill(~real, IGNORED)
    for row, (_, length) in enumerate(lengths):
        labels[row, :length // 4] = IGNORED
    memory = torch.ones(len(lengths), memory_tokens, dtype=torch.bool, device=device)
    return {"context_ids": context_ids, "context_mask": causal_mask(torch.cat([context_real, memory], 1)), "ids": ids,
            "mask": causal_mask(real), "labels": labels, "labelled": labelled_positions(labels),
            "label_count": sum(length - max(1, length // 4) for _, length in lengths)}


def step_batches(plan, step, padded, device):
    rng = random.Random(step)
    return [make_batch(lengths, plan["longest"] if padded else None, plan["model"]["vocab_size"],
                       plan["hypernetwork"]["memory_tokens"], rng, device) for lengths in plan["batches"][step]]


def make_optimizer(model):
    """AdamW with weight decay on matrices of the M2P and on the Meta-LoRA alone."""
    decayed, other = [], [model.mem_tokens]
    for name, parameter in model.m2p.named_parameters():
        plain = any(part in name for part in ("bias", "norm", "_pe"))
        (other if plain else decayed).append(parameter)
    return torch.optim.AdamW([{"params": decayed + list(model.meta_lora), "weight_decay": 0.01},
                              {"params": other, "weight_decay": 0.0}], lr=5e-5)


def run_step(model, optimizer, batches, dtype):
    """One optimizer step; the mean loss over its labels."""
    labels = sum(batch["label_count"] for batch in batches)
    device = model.mem_tokens.device.type
    total = 0.0
    for batch in batches:
        mixed = dtype == torch.bfloat16
        with torch.autocast(device, dtype=dtype) if mixed else contextlib.nullcontext():
            loss = model(batch) / labels
        loss.backward()
        total += loss.item()
    nn.utils.clip_grad_norm_(model.trained(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return total
