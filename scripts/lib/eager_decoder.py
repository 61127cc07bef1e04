"""A Qwen3 decoder in eager PyTorch alone, with the module names of transformers: for machines that have no transformers."""

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional


class RmsNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype)


class Rotary(nn.Module):
    def __init__(self, head_dim, theta):
        super().__init__()
        self.head_dim, self.theta = head_dim, theta

    def forward(self, hidden, positions):
        """(cos, sin), each (1, T, head_dim), in the dtype of `hidden`."""
        steps = torch.arange(0, self.head_dim, 2, device=hidden.device, dtype=torch.float32)
        angles = positions[..., None].float() * self.theta ** (-steps / self.head_dim)
        angles = torch.cat([angles, angles], -1)
        return angles.cos().to(hidden.dtype), angles.sin().to(hidden.dtype)


def rotate(x, cos, sin):
    low, high = x.chunk(2, -1)
    return x * cos[:, None] + torch.cat([-high, low], -1) * sin[:, None]


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        hidden, self.head_dim = shape["hidden_size"], shape["head_dim"]
        heads, kv_heads = shape["heads"] * self.head_dim, shape["kv_heads"] * self.head_dim
        self.q_proj = nn.Linear(hidden, heads, bias=False)
        self.k_proj = nn.Linear(hidden, kv_heads, bias=False)
        self.v_proj = nn.Linear(hidden, kv_heads, bias=False)
        self.o_proj = nn.Linear(heads, hidden, bias=False)
        self.q_norm = RmsNorm(self.head_dim, shape["rms_norm_eps"])
        self.k_norm = RmsNorm(self.head_dim, shape["rms_norm_eps"])

    def forward(self, x, mask, rotary):
        def heads(y):
            return y.unflatten(-1, (-1, self.head_dim))

        q = rotate(self.q_norm(heads(self.q_proj(x))).transpose(1, 2), *rotary)
        k = rotate(self.k_norm(heads(self.k_proj(x))).transpose(1, 2), *rotary)
        v = heads(self.v_proj(x)).transpose(1, 2)
        # With a mask or in float32 on a GPU, grouped heads would be left to the slowest kernel.
        grouped = mask is None and not (q.is_cuda and q.dtype == torch.float32)
        if not grouped:
            k, v = (each.repeat_interleave(q.size(1) // each.size(1), 1) for each in (k, v))
        attn_out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None,
                                                           enable_gqa=grouped)
        return self.o_proj(attn_out.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, hidden, intermediate):
        super().__init__()
        self.gate_proj = nn.Linear(hidden, intermediate, bias=False)
        self.up_proj = nn.Linear(hidden, intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = RmsNorm(shape["hidden_size"], shape["rms_norm_eps"])
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RmsNorm(shape["hidden_size"], shape["rms_norm_eps"])
        self.mlp = Mlp(shape["hidden_size"], shape["intermediate_size"])

    def forward(self, x, attention_mask, position_embeddings, position_ids):
        x = x + self.self_attn(self.input_layernorm(x), attention_mask, position_embeddings)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """`shape` as bench_step --plan writes it. Weights as torch draws them."""

    def __init__(self, shape):
        super().__init__()
        self.config = SimpleNamespace(hidden_size=shape["hidden_size"])
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(shape["vocab_size"], shape["hidden_size"])
        self.model.layers = nn.ModuleList(Layer(shape) for _ in range(shape["layers"]))
        self.model.norm = RmsNorm(shape["hidden_size"], shape["rms_norm_eps"])
        self.model.rotary_emb = Rotary(shape["head_dim"], shape["rope_theta"])
        self.lm_head = nn.Linear(shape["hidden_size"], shape["vocab_size"], bias=False)
        if shape["tied_embeddings"]:
            nn.init.normal_(self.model.embed_tokens.weight, std=0.02)
            self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def device(self):
        return self.lm_head.weight.device
