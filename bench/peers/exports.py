"""Small random models, exported to ONNX by PyTorch's two exporters, and what `qkv` makes of them.

    python bench/peers/exports.py [--only NAME] [--keep FOLDER]

Of each: how far outputs are from PyTorch's, by way of compiling, and how many of its attentions were found. Fails
beyond 1e-4, or where one was not found. Heads are odd in number, grouped or alone; batch and length are symbols.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import onnxruntime as ort
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

ROOT = Path(__file__).parents[2]
VOCAB = 83
WAYS = {"naive": ["--naive"], "ort-cpu": [], "onnx": ["--target", "onnx"]}


class Wrapped(nn.Module):
    """A model of tensors by name, in a fixed order, to a tuple of tensors."""

    def __init__(self, model, names, call):
        super().__init__()
        self.model, self.names, self.call = model, names, call

    def forward(self, *tensors):
        return self.call(self.model, dict(zip(self.names, tensors)))


def transformer(kind, configuration, **options):
    """A model of transformers by its kind of attention."""
    def make(attention):
        return kind(configuration(**options, attn_implementation=attention))
    return make


hidden = lambda model, feeds: model(**feeds, return_dict=True, **({"use_cache": False} if "use_cache" in vars(model.config) else {}))[0]


def cached(model, feeds):
    """Logits, and the keys and values of every layer, after those given as past_key_values.N.key and .value."""
    past = hf.DynamicCache()
    layers = sum(name.endswith(".key") for name in feeds)
    for i in range(layers):
        past.update(feeds.pop(f"past.{i}.key"), feeds.pop(f"past.{i}.value"), i)
    answer = model(**feeds, past_key_values=past, use_cache=True)
    cache = answer.past_key_values
    return (answer[0], *(tensor for layer in cache.layers for tensor in (layer.keys, layer.values)))


ids = lambda batch, seq: torch.randint(3, VOCAB, (batch, seq))


def tokens(batch, seq):
    return dict(input_ids=ids(batch, seq))


def right(batch, seq):
    mask = torch.ones(batch, seq, dtype=torch.int64)
    mask[-1, seq * 2 // 3:] = 0
    return dict(input_ids=ids(batch, seq), attention_mask=mask)


def left(batch, seq):
    mask = torch.ones(batch, seq, dtype=torch.int64)
    mask[0, :seq // 3] = 0
    return dict(input_ids=ids(batch, seq), attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0))


def both(batch, seq):
    return right(batch, seq) | {f"decoder_{key}": value for key, value in tokens(batch, seq - 4).items()}


def audio(batch, seq):
    return dict(input_features=torch.randn(batch, 8, 32), decoder_input_ids=ids(batch, seq))


def heard(batch, seq):
    mask = torch.ones(batch, 4 * seq + 3, dtype=torch.int64)
    mask[-1, 3 * seq:] = 0
    return dict(input_features=torch.randn(batch, 4 * seq + 3, 8), attention_mask=mask, decoder_input_ids=ids(batch, seq))


def pixels(size):
    return lambda batch, _: dict(pixel_values=torch.randn(batch, 3, size, size))


def waves(least, step):
    """Sound of at least so many samples, and more with the length."""
    return lambda batch, seq: dict(input_values=torch.randn(batch, least + step * seq))


def past(layers, kv_heads, width, positions=False):
    def make(batch, seq):
        before = seq // 2
        feeds = dict(input_ids=ids(batch, seq - before), attention_mask=torch.ones(batch, seq, dtype=torch.int64))
        if positions:
            feeds["position_ids"] = torch.arange(before, seq).repeat(batch, 1)
        for i in range(layers):
            for what in ("key", "value"):
                feeds[f"past.{i}.{what}"] = torch.randn(batch, kv_heads, before, width)
        return feeds
    return make


def sizes(**more):
    return dict(vocab_size=VOCAB, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=5,
                num_key_value_heads=1, head_dim=8, max_position_embeddings=128, bos_token_id=1, eos_token_id=2,
                pad_token_id=0) | more


def encoder(**more):
    return dict(vocab_size=VOCAB, hidden_size=21, intermediate_size=34, num_hidden_layers=2, num_attention_heads=3,
                max_position_embeddings=64, pad_token_id=0) | more


def seq2seq(**more):
    return dict(vocab_size=VOCAB, d_model=24, encoder_layers=2, decoder_layers=2, encoder_attention_heads=3,
                decoder_attention_heads=3, encoder_ffn_dim=40, decoder_ffn_dim=40, max_position_embeddings=64,
                pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2) | more


class Plain(nn.Module):
    """F.scaled_dot_product_attention between projections, its mask and options as given."""

    def __init__(self, d=30, heads=5, causal=False, scale=None):
        super().__init__()
        self.heads, self.causal, self.scale = heads, causal, scale
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x, mask=None):
        batch, seq, d = x.shape
        q, k, v = self.qkv(x).view(batch, seq, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal, scale=self.scale)
        return self.out(y.transpose(1, 2).reshape(batch, seq, d))


class Einsum(nn.Module):
    def __init__(self, d=30, heads=5):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = nn.Linear(d, d), nn.Linear(d, d, bias=False), nn.Linear(d, d)

    def forward(self, x, mask=None):
        split = lambda y: y.unflatten(-1, (self.heads, -1))
        scores = torch.einsum("bqhd,bkhd->bhqk", split(self.q(x)), split(self.k(x))) / 6 ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), split(self.v(x))).flatten(-2)


class ByHand(nn.Module):
    """minGPT's attention: a triangle stored as a buffer, cut to the length."""

    def __init__(self, d=30, heads=3):
        super().__init__()
        self.heads, self.c_attn, self.c_proj = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.register_buffer("bias", torch.tril(torch.ones(64, 64)).view(1, 1, 64, 64))

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = self.c_attn(x).split(c, dim=2)
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in (q, k, v))
        att = (q @ k.transpose(-2, -1)) * (1.0 / k.size(-1) ** 0.5)
        att = F.softmax(att.masked_fill(self.bias[:, :, :t, :t] == 0, float("-inf")), dim=-1)
        return self.c_proj((att @ v).transpose(1, 2).contiguous().view(b, t, c))


class Older(nn.Module):
    """GPT-2 as older versions of transformers have it: a triangle cut after the cache, then padding added, both finite."""

    def __init__(self, d=30, heads=3):
        super().__init__()
        self.heads, self.c_attn, self.c_proj = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.register_buffer("bias", torch.tril(torch.ones(64, 64, dtype=torch.bool)).view(1, 1, 64, 64))

    def forward(self, x, attention_mask, key, value):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, c // self.heads).permute(0, 2, 1, 3) for y in self.c_attn(x).split(c, 2))
        k, v = torch.cat((key, k), -2), torch.cat((value, v), -2)
        queries, keys = q.size(-2), k.size(-2)
        scores = q @ k.transpose(-1, -2) / (c // self.heads) ** 0.5
        least = torch.finfo(scores.dtype).min
        scores = torch.where(self.bias[:, :, keys - queries : keys, :keys], scores, torch.full([], least))
        scores = scores + (1.0 - attention_mask[:, None, None, :].to(scores.dtype)) * least
        return self.c_proj((scores.softmax(-1) @ v).permute(0, 2, 1, 3).reshape(b, t, c))


def older(batch, seq):
    before = seq // 2
    mask = torch.ones(batch, seq, dtype=torch.int64)
    mask[0, :before - 1] = 0
    caches = {name: torch.randn(batch, 3, before, 10) for name in ("key", "value")}
    return dict(x=torch.randn(batch, seq - before, 30), attention_mask=mask) | caches


class Relative(nn.Module):
    """Scores with a learned bias per head and distance, in batches of heads (bmm)."""

    def __init__(self, d=20, heads=2):
        super().__init__()
        self.heads, self.p = heads, nn.Linear(d, 3 * d)
        self.bias = nn.Embedding(127, heads)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (y.reshape(b, t, self.heads, -1).permute(0, 2, 1, 3).reshape(b * self.heads, t, -1) for y in self.p(x).chunk(3, -1))
        at = torch.arange(t)
        bias = self.bias(at[None, :] - at[:, None] + 63).permute(2, 0, 1)
        scores = torch.bmm(q * (c // self.heads) ** -0.5, k.transpose(1, 2)).view(b, self.heads, t, t) + bias
        probs = scores.softmax(-1).view(b * self.heads, t, t)
        return torch.bmm(probs, v).view(b, self.heads, t, -1).transpose(1, 2).reshape(b, t, c)


class Decoder(nn.Module):
    def __init__(self, norm_first):
        super().__init__()
        layer = nn.TransformerDecoderLayer(24, 3, 40, batch_first=True, norm_first=norm_first)
        self.layers = nn.TransformerDecoder(layer, 2)

    def forward(self, x, memory):
        causal = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.layers(x, memory, tgt_mask=causal, tgt_is_causal=True)


class Written(nn.Module):
    """Attention written out by hand: `attend(q, k, v, extra, mask)` of [batch, heads, seq, width], extra a parameter."""

    def __init__(self, attend, *extra, d=30, heads=5):
        super().__init__()
        self.attend, self.heads = attend, heads
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.extra = nn.Parameter(torch.zeros(*extra))

    def forward(self, x, mask=None):
        batch, seq, d = x.shape
        q, k, v = self.qkv(x).view(batch, seq, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = self.attend(q, k, v, self.extra, None if mask is None else mask[:, None, None, :])
        return self.out(y.transpose(1, 2).reshape(batch, seq, d))


product = lambda q, k: q @ k.transpose(-2, -1) * 0.4
upper = lambda q: torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(1)
places = lambda q: torch.arange(q.shape[-2])
steps = lambda q: places(q)[:, None] - places(q)[None, :]
unit = lambda x: F.normalize(x, dim=-1)
slopes = torch.tensor([2.0 ** -(8 * (head + 1) / 5) for head in range(5)])[:, None, None]


def shifted(q, k, v, extra, mask):
    scores = product(q, k)
    return (scores - scores.amax(-1, keepdim=True)).softmax(-1) @ v


def summed(q, k, v, extra, mask):
    weights = product(q, k).exp()
    return (weights @ v) / weights.sum(-1, keepdim=True)


def log_summed(q, k, v, extra, mask):
    scores = product(q, k)
    return (scores - scores.logsumexp(-1, keepdim=True)).exp() @ v


def seen_twice(q, k, v, extra, mask):
    return product(q, k).masked_fill(mask, -1e4).softmax(-1).masked_fill(mask, 0.0) @ v


def grown(q, k, v, extra, mask):
    """Scalable softmax (Nakanishi, arXiv:2501.19399): scores grow with the logarithm of how much is seen."""
    scores = product(q, k) * (places(q) + 1).log()[:, None] * extra.abs()
    return scores.masked_fill(upper(q), float("-inf")).softmax(-1) @ v


triangle = torch.tril(torch.ones(64, 64))
cut = lambda table, q: table[: q.shape[-2], : q.shape[-2]]
halves = lambda x: x.unflatten(-1, (2, -1)).unbind(-2)


def differential(q, k, v, extra, mask):
    """Differential attention (arXiv:2410.05258): the difference of two maps of weights."""
    first, second = (product(*pair).masked_fill(upper(q), float("-inf")).softmax(-1) for pair in zip(halves(q), halves(k)))
    return (first - (extra.sum() + 0.3) * second) @ v


def of_one_softmax(pairs):
    """The same as its authors write it: heads in turns have the first map and the second, of one softmax."""
    def attend(q, k, v, extra, mask):
        first, second = (x.unflatten(-1, (2, -1)).transpose(2, 3).flatten(1, 2) for x in (q, k))
        weights = product(first, second).masked_fill(upper(q), float("-inf")).softmax(-1)
        first, second = pairs(weights)
        return (first - (extra.sum() + 0.3) * second) @ v

    return attend


def plus_one(q, k, v, extra, mask):
    """A softmax with one more in its divisor, which may attend to nothing (arXiv:2508.10925 has it as a sink)."""
    scores = product(q, k).masked_fill(upper(q), float("-inf"))
    most = scores.amax(-1, keepdim=True)
    weights = (scores - most).exp()
    return weights / (weights.sum(-1, keepdim=True) + (-most).exp()) @ v


def guarded(q, k, v, extra, mask):
    weights = (product(q, k) - product(q, k).amax(-1, keepdim=True)).exp()
    return weights / (weights.sum(-1, keepdim=True) + 1e-9) @ v


def no_lower(q, k, v, extra, mask):
    """The same, the greatest score held at 0 or above."""
    scores = product(q, k)
    most = scores.amax(-1, keepdim=True).clamp(min=0)
    weights = (scores - most).exp()
    return weights / (weights.sum(-1, keepdim=True) + (-most).exp()) @ v


def by_column(q, k, v, extra, mask):
    """The divisor as what a column of ones beside the values becomes."""
    y = product(q, k).exp() @ torch.cat([v, torch.ones_like(v[..., :1])], -1)
    return y[..., :-1] / y[..., -1:]


def powers(q, k, v, extra, mask):
    """Powers of two, as kernels on GPUs have them."""
    scores = product(q, k) * 1.44269504
    weights = torch.exp2(scores - scores.amax(-1, keepdim=True))
    return weights / weights.sum(-1, keepdim=True) @ v


def distances(q, k, v, extra, mask):
    """Squared distances of queries and keys as scores (Kim et al., arXiv:2006.04710)."""
    squares = q.square().sum(-1, keepdim=True) + k.square().sum(-1)[..., None, :]
    return (-0.4 * (squares - 2 * q @ k.transpose(-2, -1))).softmax(-1) @ v


def residual(q, k, v, extra, mask):
    """Scores of one layer added to those of the next (RealFormer, arXiv:2012.11747)."""
    scores = product(q, k)
    return (product(scores.softmax(-1) @ v, k) + scores).softmax(-1) @ v


def retrieved(q, k, v, extra, mask):
    """Two steps of a Hopfield network (Ramsauer et al., arXiv:2008.02217)."""
    for _ in range(2):
        q = product(q, k).softmax(-1) @ k
    return q


def remembered(q, k, v, extra, mask):
    """Memory that all queries see beside the tokens: keys and values of its own, each product alone, scaled alone."""
    keys, values = extra.expand(5, 3, 6) + torch.arange(3)[:, None] * 0.3, extra.sin().expand(5, 3, 6)
    scores = torch.cat((torch.einsum("bhqd,hkd->bhqk", q, keys) * 0.4, product(q, k)), -1)
    memory, tokens = scores.softmax(-1).split((3, q.shape[-2]), -1)
    return torch.einsum("bhqk,hkd->bhqd", memory, values) + tokens @ v


WRITTEN = {
    "identity": lambda q, k, v, t, m: (0.5 * product(q, k).softmax(-1) + 0.5 * torch.eye(q.shape[-2])) @ v,
    "plus-one-no-lower": no_lower,
    "plus-one-padded": lambda q, k, v, t, m: F.pad(product(q, k), (0, 1)).softmax(-1)[..., :-1] @ v,
    "exp-column": by_column,
    "exp2": powers,
    "distances": distances,
    "remembered": remembered,
    "residual-scores": residual,
    "hopfield": retrieved,
    "broadcast-sum": lambda q, k, v, t, m: ((q[:, :, :, None] * k[:, :, None]).sum(-1) * 0.4).softmax(-1) @ v,
    "differential": differential,
    "differential-turns": of_one_softmax(lambda x: x.unflatten(1, (-1, 2)).unbind(2)),
    "differential-steps": of_one_softmax(lambda x: (x[:, ::2], x[:, 1::2])),
    "plus-one": plus_one,
    "guarded-sum": guarded,
    "stored-infinity": lambda q, k, v, t, m: (product(q, k) + cut(torch.full((64, 64), float("-inf")).triu(1), q)).softmax(-1) @ v,
    "stored-zero": lambda q, k, v, t, m: product(q, k).masked_fill(cut(triangle, q) == 0, -1e9).softmax(-1) @ v,
    "stored-band": lambda q, k, v, t, m: product(q, k).masked_fill(cut(triangle * torch.triu(torch.ones(64, 64), -3), q) == 0, float("-inf")).softmax(-1) @ v,
    "alibi-causal": lambda q, k, v, t, m: (product(q, k) - slopes * steps(q)).masked_fill(cut(triangle, q) == 0, float("-inf")).softmax(-1) @ v,
    "cosine": lambda q, k, v, t, m: (unit(q) @ unit(k).transpose(-2, -1) * t.clamp(max=4.6).exp()).softmax(-1) @ v,
    "temperature": lambda q, k, v, t, m: (q @ k.transpose(-2, -1) / t).softmax(-1) @ v,
    "scalable": grown,
    "capped": lambda q, k, v, t, m: (5 * torch.tanh(product(q, k) / 5)).masked_fill(upper(q), -1e9).softmax(-1) @ v,
    "clipped": lambda q, k, v, t, m: product(q, k).clamp(-1, 1).softmax(-1) @ v,
    "alibi": lambda q, k, v, t, m: (product(q, k) - slopes * steps(q).abs()).softmax(-1) @ v,
    "window": lambda q, k, v, t, m: product(q, k).masked_fill((steps(q) < 0) | (steps(q) >= 4), -1e9).softmax(-1) @ v,
    "window-sdpa": lambda q, k, v, t, m: F.scaled_dot_product_attention(q, k, v, attn_mask=(steps(q) >= 0) & (steps(q) < 4)),
    "shifted": shifted,
    "log-softmax": lambda q, k, v, t, m: product(q, k).log_softmax(-1).exp() @ v,
    "log-sum-exp": log_summed,
    "exp-sum": summed,
    "chunks": lambda q, k, v, t, m: torch.cat([product(q[:, i : i + 1], k[:, i : i + 1]).softmax(-1) @ v[:, i : i + 1] for i in range(5)], 1),
}
def divided(q, k, v, extra, mask):
    weights = product(q, k).softmax(-1) * (1 - 0.9 * mask.float())
    return weights / (weights.sum(-1, keepdim=True) + 1e-6) @ v


PADDED = {
    "faded": lambda q, k, v, t, m: product(q, k).softmax(-1) * (1 - 0.9 * m.float()) @ v,
    "faded-divided": divided,
    "seen-twice": seen_twice,
    "nan-to-num": lambda q, k, v, t, m: torch.nan_to_num(product(q, k).masked_fill(m, float("-inf")).softmax(-1)) @ v,
    "log-mask": lambda q, k, v, t, m: (product(q, k) + ((~m).float() + 1e-9).log()).softmax(-1) @ v,
    "pairs": lambda q, k, v, t, m: product(q, k).masked_fill(m | m.transpose(-2, -1), -1e9).softmax(-1) @ v,
    "causal-padding": lambda q, k, v, t, m: product(q, k).masked_fill(m | upper(q), torch.finfo(torch.float32).min).softmax(-1) @ v,
}

floats = lambda d: lambda batch, seq: dict(x=torch.randn(batch, seq, d))
eager = lambda make: lambda attention: make()
one = lambda model, feeds: model(**feeds)


def with_mask(dtype, d=30):
    def make(batch, seq):
        mask = torch.rand(batch, 1, seq, seq) > 0.3
        mask |= torch.eye(seq, dtype=torch.bool)
        return dict(x=torch.randn(batch, seq, d), mask=mask if dtype == torch.bool else torch.where(mask, torch.randn(1), -torch.inf))
    return make


multi_head = lambda model, feeds: model(feeds["x"], feeds["x"], feeds["x"], key_padding_mask=feeds.get("mask"), need_weights=False)[0]
padding = lambda batch, seq: dict(x=torch.randn(batch, seq, 30), mask=torch.arange(seq).expand(batch, seq) >= seq * 2 // 3)
stack = lambda **more: nn.TransformerEncoder(nn.TransformerEncoderLayer(30, 5, 40, batch_first=True, **more), 2, enable_nested_tensor=False)

# The first map of residual scores is needed again.
SEVERAL = {"chunks": 5, "hopfield": 2}

# name: (model by kind of attention, call, inputs, attentions)
CASES = {
    "bert": (transformer(hf.BertModel, hf.BertConfig, **encoder()), hidden, right, 2),
    "bert-types": (transformer(hf.BertModel, hf.BertConfig, **encoder()), hidden, lambda b, s: right(b, s) | dict(token_type_ids=torch.ones(b, s, dtype=torch.int64)), 2),
    "roberta": (transformer(hf.RobertaModel, hf.RobertaConfig, **encoder(pad_token_id=1)), hidden, right, 2),
    "distilbert": (transformer(hf.DistilBertModel, hf.DistilBertConfig, vocab_size=VOCAB, dim=21, n_heads=3, n_layers=2, hidden_dim=34, max_position_embeddings=64), hidden, right, 2),
    "electra": (transformer(hf.ElectraModel, hf.ElectraConfig, **encoder(embedding_size=12)), hidden, right, 2),
    "albert": (transformer(hf.AlbertModel, hf.AlbertConfig, **encoder(embedding_size=12)), hidden, right, 2),
    "deberta": (transformer(hf.DebertaV2Model, hf.DebertaV2Config, **encoder(relative_attention=False)), hidden, right, 2),
    "mpnet": (transformer(hf.MPNetModel, hf.MPNetConfig, **encoder()), hidden, right, 2),
    "vit": (transformer(hf.ViTModel, hf.ViTConfig, hidden_size=21, intermediate_size=34, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4), hidden, lambda b, s: dict(pixel_values=torch.randn(b, 3, 16, 16)), 2),
    "clip-text": (transformer(hf.CLIPTextModel, hf.CLIPTextConfig, **encoder()), hidden, right, 2),
    "modernbert": (transformer(hf.ModernBertModel, hf.ModernBertConfig, **encoder(hidden_size=24, num_hidden_layers=4, local_attention=6, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2)), hidden, right, 4),
    "t5": (transformer(hf.T5ForConditionalGeneration, hf.T5Config, vocab_size=VOCAB, d_model=20, d_kv=6, d_ff=32, num_layers=2, num_heads=3, feed_forward_proj="gated-gelu"), hidden, both, 6),
    "bart": (transformer(hf.BartModel, hf.BartConfig, **seq2seq()), hidden, both, 6),
    "marian": (transformer(hf.MarianModel, hf.MarianConfig, **seq2seq()), hidden, both, 6),
    "whisper": (transformer(hf.WhisperModel, hf.WhisperConfig, **seq2seq(num_mel_bins=8, max_source_positions=16, max_target_positions=64)), hidden, audio, 6),
    "speech2text": (transformer(hf.Speech2TextModel, hf.Speech2TextConfig, **seq2seq(input_feat_per_channel=8, conv_channels=16, max_source_positions=128, max_target_positions=64)), hidden, heard, 6),
    "gpt2": (transformer(hf.GPT2LMHeadModel, hf.GPT2Config, vocab_size=VOCAB, n_embd=35, n_layer=2, n_head=5, n_positions=64, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "gpt2-left": (transformer(hf.GPT2LMHeadModel, hf.GPT2Config, vocab_size=VOCAB, n_embd=35, n_layer=2, n_head=5, n_positions=64, bos_token_id=1, eos_token_id=2), hidden, left, 2),
    "gpt2-past": (transformer(hf.GPT2LMHeadModel, hf.GPT2Config, vocab_size=VOCAB, n_embd=35, n_layer=2, n_head=5, n_positions=64, bos_token_id=1, eos_token_id=2), cached, past(2, 5, 7), 2),
    "gpt-neo": (transformer(hf.GPTNeoForCausalLM, hf.GPTNeoConfig, vocab_size=VOCAB, hidden_size=21, num_layers=2, num_heads=3, attention_types=[[["global", "local"], 1]], window_size=5, max_position_embeddings=64, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "gpt-neox": (transformer(hf.GPTNeoXForCausalLM, hf.GPTNeoXConfig, vocab_size=VOCAB, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=5, max_position_embeddings=64, rotary_pct=0.5, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "gptj": (transformer(hf.GPTJForCausalLM, hf.GPTJConfig, vocab_size=VOCAB, n_embd=40, n_layer=2, n_head=5, n_positions=64, rotary_dim=4, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "opt": (transformer(hf.OPTForCausalLM, hf.OPTConfig, vocab_size=VOCAB, hidden_size=21, ffn_dim=34, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=64, word_embed_proj_dim=21), hidden, right, 2),
    "bloom": (transformer(hf.BloomForCausalLM, hf.BloomConfig, vocab_size=VOCAB, hidden_size=21, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "llama": (transformer(hf.LlamaForCausalLM, hf.LlamaConfig, **sizes()), hidden, right, 2),
    "llama-tokens": (transformer(hf.LlamaForCausalLM, hf.LlamaConfig, **sizes(hidden_size=42, num_attention_heads=6, num_key_value_heads=3)), hidden, tokens, 2),
    "llama-left": (transformer(hf.LlamaForCausalLM, hf.LlamaConfig, **sizes(hidden_size=42, num_attention_heads=6, num_key_value_heads=3)), hidden, left, 2),
    "llama-past": (transformer(hf.LlamaForCausalLM, hf.LlamaConfig, **sizes(hidden_size=42, num_attention_heads=6, num_key_value_heads=2)), cached, past(2, 2, 8, True), 2),
    "mistral": (transformer(hf.MistralForCausalLM, hf.MistralConfig, **sizes(hidden_size=36, num_attention_heads=3, num_key_value_heads=3, sliding_window=5)), hidden, right, 2),
    "mistral-past": (transformer(hf.MistralForCausalLM, hf.MistralConfig, **sizes(sliding_window=None)), cached, past(2, 1, 8), 2),
    "qwen2": (transformer(hf.Qwen2ForCausalLM, hf.Qwen2Config, **sizes(hidden_size=40, num_attention_heads=5)), hidden, right, 2),
    "qwen3": (transformer(hf.Qwen3ForCausalLM, hf.Qwen3Config, **sizes(hidden_size=35, num_attention_heads=7, head_dim=6)), hidden, right, 2),
    "qwen3-past": (transformer(hf.Qwen3ForCausalLM, hf.Qwen3Config, **sizes(hidden_size=35, num_attention_heads=7, head_dim=6)), cached, past(2, 1, 6), 2),
    "gemma2": (transformer(hf.Gemma2ForCausalLM, hf.Gemma2Config, **sizes(hidden_size=42, num_attention_heads=6, num_key_value_heads=2, head_dim=14, sliding_window=3, query_pre_attn_scalar=20, attn_logit_softcapping=2.0, final_logit_softcapping=1.5)), hidden, right, 2),
    "gemma3": (transformer(hf.Gemma3ForCausalLM, hf.Gemma3TextConfig, **sizes(num_hidden_layers=3, sliding_window=6, query_pre_attn_scalar=10, layer_types=["sliding_attention", "full_attention", "sliding_attention"])), hidden, right, 3),
    "phi": (transformer(hf.PhiForCausalLM, hf.PhiConfig, vocab_size=VOCAB, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=5, max_position_embeddings=64), hidden, right, 2),
    "phi3": (transformer(hf.Phi3ForCausalLM, hf.Phi3Config, **sizes(num_key_value_heads=5)), hidden, right, 2),
    "olmo2": (transformer(hf.Olmo2ForCausalLM, hf.Olmo2Config, **sizes(num_key_value_heads=5)), hidden, right, 2),
    "cohere": (transformer(hf.CohereForCausalLM, hf.CohereConfig, **sizes()), hidden, right, 2),
    "stablelm": (transformer(hf.StableLmForCausalLM, hf.StableLmConfig, **sizes()), hidden, right, 2),
    "falcon": (transformer(hf.FalconForCausalLM, hf.FalconConfig, vocab_size=VOCAB, hidden_size=40, num_hidden_layers=2, num_attention_heads=5, multi_query=True, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "bigcode": (transformer(hf.GPTBigCodeForCausalLM, hf.GPTBigCodeConfig, vocab_size=VOCAB, n_embd=40, n_layer=2, n_head=5, n_positions=64, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "codegen": (transformer(hf.CodeGenForCausalLM, hf.CodeGenConfig, vocab_size=VOCAB, n_embd=48, n_layer=2, n_head=4, n_positions=64, rotary_dim=4, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "xglm": (transformer(hf.XGLMForCausalLM, hf.XGLMConfig, vocab_size=VOCAB, d_model=24, ffn_dim=34, num_layers=2, attention_heads=3, max_position_embeddings=64, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "biogpt": (transformer(hf.BioGptForCausalLM, hf.BioGptConfig, vocab_size=VOCAB, hidden_size=21, num_hidden_layers=2, num_attention_heads=3, intermediate_size=34, max_position_embeddings=64, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "granite": (transformer(hf.GraniteForCausalLM, hf.GraniteConfig, **sizes(hidden_size=40, attention_multiplier=0.2, residual_multiplier=0.7, embedding_multiplier=3.0, logits_scaling=2.0)), hidden, right, 2),
    "nemotron": (transformer(hf.NemotronForCausalLM, hf.NemotronConfig, **sizes(hidden_size=40)), hidden, right, 2),
    "starcoder2": (transformer(hf.Starcoder2ForCausalLM, hf.Starcoder2Config, **sizes(hidden_size=40, sliding_window=6)), hidden, right, 2),
    "gemma": (transformer(hf.GemmaForCausalLM, hf.GemmaConfig, **sizes(hidden_size=40)), hidden, right, 2),
    "glm": (transformer(hf.GlmForCausalLM, hf.GlmConfig, **sizes(hidden_size=40)), hidden, right, 2),
    "helium": (transformer(hf.HeliumForCausalLM, hf.HeliumConfig, **sizes(hidden_size=40)), hidden, right, 2),
    "smollm3": (transformer(hf.SmolLM3ForCausalLM, hf.SmolLM3Config, **sizes(hidden_size=40)), hidden, right, 2),
    "olmo": (transformer(hf.OlmoForCausalLM, hf.OlmoConfig, **sizes(hidden_size=40)), hidden, right, 2),
    "deepseek3": (transformer(hf.DeepseekV3ForCausalLM, hf.DeepseekV3Config, vocab_size=VOCAB, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, first_k_dense_replace=2, kv_lora_rank=12, q_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=10, v_head_dim=6, max_position_embeddings=64, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "mbart": (transformer(hf.MBartModel, hf.MBartConfig, **seq2seq()), hidden, both, 6),
    "mbart-shifted": (transformer(hf.MBartModel, hf.MBartConfig, **seq2seq()), hidden, right, 6),
    "pegasus": (transformer(hf.PegasusModel, hf.PegasusConfig, **seq2seq()), hidden, both, 6),
    "pegasus-x": (transformer(hf.PegasusXModel, hf.PegasusXConfig, **seq2seq(block_size=4, num_global_tokens=3)), hidden, both, 7),
    "m2m": (transformer(hf.M2M100Model, hf.M2M100Config, **seq2seq()), hidden, both, 6),
    "mt5": (transformer(hf.MT5ForConditionalGeneration, hf.MT5Config, vocab_size=VOCAB, d_model=20, d_kv=6, d_ff=32, num_layers=2, num_heads=3), hidden, both, 6),
    "blenderbot": (transformer(hf.BlenderbotModel, hf.BlenderbotConfig, **seq2seq()), hidden, both, 6),
    "deit": (transformer(hf.DeiTModel, hf.DeiTConfig, hidden_size=21, intermediate_size=34, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4), hidden, pixels(16), 2),
    "beit": (transformer(hf.BeitModel, hf.BeitConfig, hidden_size=21, intermediate_size=34, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4, use_relative_position_bias=True), hidden, pixels(16), 2),
    "swin": (transformer(hf.SwinModel, hf.SwinConfig, image_size=32, patch_size=4, embed_dim=12, depths=[2, 2], num_heads=[2, 3], window_size=4), hidden, pixels(32), 4),
    "dinov2": (transformer(hf.Dinov2Model, hf.Dinov2Config, hidden_size=21, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4), hidden, pixels(16), 2),
    "siglip-vision": (transformer(hf.SiglipVisionModel, hf.SiglipVisionConfig, hidden_size=21, intermediate_size=34, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4), hidden, pixels(16), 3),
    "clip-vision": (transformer(hf.CLIPVisionModel, hf.CLIPVisionConfig, hidden_size=21, intermediate_size=34, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4), hidden, pixels(16), 2),
    "wav2vec2": (transformer(hf.Wav2Vec2Model, hf.Wav2Vec2Config, vocab_size=VOCAB, hidden_size=24, intermediate_size=34, num_hidden_layers=2, num_attention_heads=3, conv_dim=(8, 8), conv_stride=(5, 2), conv_kernel=(10, 3), num_feat_extract_layers=2, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2), hidden, waves(1600, 20), 2),
    "hubert": (transformer(hf.HubertModel, hf.HubertConfig, vocab_size=VOCAB, hidden_size=24, intermediate_size=34, num_hidden_layers=2, num_attention_heads=3, conv_dim=(8, 8), conv_stride=(5, 2), conv_kernel=(10, 3), num_feat_extract_layers=2, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2), hidden, waves(1600, 20), 2),
    "squeezebert": (transformer(hf.SqueezeBertModel, hf.SqueezeBertConfig, vocab_size=VOCAB, hidden_size=24, embedding_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, q_groups=2, k_groups=2, v_groups=2, post_attention_groups=1, intermediate_groups=2, output_groups=2, max_position_embeddings=64), hidden, right, 2),
    "rembert": (transformer(hf.RemBertModel, hf.RemBertConfig, **encoder(input_embedding_size=12)), hidden, right, 2),
    "camembert": (transformer(hf.CamembertModel, hf.CamembertConfig, **encoder(pad_token_id=1)), hidden, right, 2),
    "esm": (transformer(hf.EsmModel, hf.EsmConfig, **encoder(hidden_size=24, position_embedding_type="rotary", pad_token_id=1, mask_token_id=4)), hidden, right, 2),
    "roformer": (transformer(hf.RoFormerModel, hf.RoFormerConfig, **encoder(hidden_size=24, embedding_size=24)), hidden, right, 2),
    "xlm": (transformer(hf.XLMModel, hf.XLMConfig, vocab_size=VOCAB, emb_dim=21, n_layers=2, n_heads=3, max_position_embeddings=64, pad_index=2), hidden, right, 2),
    "deberta-rel": (transformer(hf.DebertaV2Model, hf.DebertaV2Config, **encoder(relative_attention=True, position_buckets=8, max_relative_positions=16, pos_att_type=["c2p", "p2c"], share_att_key=True, norm_rel_ebd="layer_norm")), hidden, right, 2),
    "convbert": (transformer(hf.ConvBertModel, hf.ConvBertConfig, **encoder(hidden_size=24, num_attention_heads=4, embedding_size=24)), hidden, right, 2),
    "fnet": (transformer(hf.FNetModel, hf.FNetConfig, vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, intermediate_size=34, max_position_embeddings=64), hidden, tokens, 0),
    "openai-gpt": (transformer(hf.OpenAIGPTLMHeadModel, hf.OpenAIGPTConfig, vocab_size=VOCAB, n_embd=35, n_layer=2, n_head=5, n_positions=64), hidden, right, 2),
    "exaone4": (transformer(hf.Exaone4ForCausalLM, hf.Exaone4Config, **sizes(hidden_size=40, sliding_window=4)), hidden, right, 2),
    "ernie45": (transformer(hf.Ernie4_5ForCausalLM, hf.Ernie4_5Config, **sizes(hidden_size=40)), hidden, right, 2),
    "arcee": (transformer(hf.ArceeForCausalLM, hf.ArceeConfig, **sizes(hidden_size=40)), hidden, right, 2),
    "persimmon": (transformer(hf.PersimmonForCausalLM, hf.PersimmonConfig, vocab_size=VOCAB, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=5, max_position_embeddings=128, bos_token_id=1, eos_token_id=2), hidden, right, 2),
    "moonshine": (transformer(hf.MoonshineModel, hf.MoonshineConfig, vocab_size=VOCAB, hidden_size=24, intermediate_size=34, encoder_num_hidden_layers=2, decoder_num_hidden_layers=2, encoder_num_attention_heads=3, decoder_num_attention_heads=3, encoder_num_key_value_heads=3, decoder_num_key_value_heads=3), hidden, lambda b, s: waves(1600, 64)(b, s) | dict(decoder_input_ids=ids(b, s)), 6),
    "mha": (eager(lambda: nn.MultiheadAttention(30, 5, batch_first=True)), multi_head, floats(30), 1),
    "mha-padding": (eager(lambda: nn.MultiheadAttention(30, 5, batch_first=True)), multi_head, padding, 1),
    "mha-seq-first": (eager(lambda: nn.MultiheadAttention(30, 3)), multi_head, floats(30), 1),
    "encoder": (eager(stack), lambda model, feeds: model(feeds["x"]), floats(30), 2),
    "encoder-padding": (eager(lambda: stack(norm_first=True, activation="gelu")), lambda model, feeds: model(feeds["x"], src_key_padding_mask=feeds["mask"]), padding, 2),
    "decoder": (eager(lambda: Decoder(False)), one, lambda b, s: dict(x=torch.randn(b, s, 24), memory=torch.randn(b, s + 3, 24)), 4),
    "decoder-pre": (eager(lambda: Decoder(True)), one, lambda b, s: dict(x=torch.randn(b, s, 24), memory=torch.randn(b, s + 3, 24)), 4),
    "sdpa": (eager(Plain), one, floats(30), 1),
    "sdpa-scale": (eager(lambda: Plain(scale=0.3)), one, floats(30), 1),
    "sdpa-causal": (eager(lambda: Plain(causal=True)), one, floats(30), 1),
    "sdpa-bool": (eager(Plain), one, with_mask(torch.bool), 1),
    "sdpa-float": (eager(Plain), one, with_mask(torch.float32), 1),
    "einsum": (eager(Einsum), one, floats(30), 1),
    "einsum-mask": (eager(Einsum), one, with_mask(torch.bool), 1),
    "by-hand": (eager(ByHand), one, floats(30), 1),
    "older": (eager(Older), one, older, 1),
    "relative": (eager(Relative), one, floats(20), 1),
    **{name: (eager(lambda attend=attend: Written(attend, 5, 1, 1)), one, floats(30), SEVERAL.get(name, 2 if "differential" in name else 1)) for name, attend in WRITTEN.items()},
    **{name: (eager(lambda attend=attend: Written(attend, 5, 1, 1)), one, padding, 1) for name, attend in PADDED.items()},
}
KINDS = ("eager", "sdpa")
EXPORTERS = ("dynamo", "torchscript")


def randomise(model):
    """Weights far enough from zero that every part counts."""
    for name, weight in model.named_parameters():
        nn.init.normal_(weight, 0.1 if "norm" in name.lower() else 0.0, 0.3 if weight.dim() == 1 else 0.2)


def variants(name):
    """Names of a case's exports; PyTorch's own modules have one kind of attention."""
    kinds = KINDS if CASES[name][1] in (hidden, cached) else ("torch",)
    return [f"{name}-{kind}-{exporter}" for kind in kinds for exporter in EXPORTERS]


def faithful(file, feeds, answers):
    """Whether the file itself gives what PyTorch gives: lengths may be fixed in it, rows that see nothing may differ."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    taken = {each.name for each in session.get_inputs()}
    try:
        given = session.run(None, {key: value.numpy() for key, value in feeds.items() if key in taken})
    except Exception:
        return False
    return all(abs(a - b.numpy()).max() < 1e-4 for a, b in zip(given, answers))


def export(variant, folder):
    """Writes model.onnx, inputs.safetensors and expected.safetensors: `<case>.<name>`."""
    name, kind, exporter = variant.rsplit("-", 2)
    make, call, inputs, _ = CASES[name]
    torch.manual_seed(sum(name.encode()))
    model = make(kind).eval()
    randomise(model)
    if hasattr(model, "tie_weights"):
        model.tie_weights()
    feeds = [inputs(2, 13), inputs(3, 17), inputs(1, 31)]
    names = list(feeds[0])
    wrapped = Wrapped(model, names, call).eval()
    with torch.no_grad():
        answers = [wrapped(*(tensor.clone() for tensor in case.values())) for case in feeds]
    answers = [answer if isinstance(answer, tuple) else (answer,) for answer in answers]
    outputs = [f"out{i}" for i in range(len(answers[0]))]
    moving = {key: [i for i, dim in enumerate(tensor.shape) if any(case[key].shape[i] != dim for case in feeds)]
              for key, tensor in feeds[0].items()}
    options = dict(input_names=names, output_names=outputs)
    if exporter == "dynamo":
        shapes = tuple({axis: torch.export.Dim.DYNAMIC for axis in moving[key]} for key in names)
        options |= dict(dynamo=True, dynamic_shapes=(shapes,), verbose=False, external_data=False)
    else:
        options |= dict(dynamo=False, opset_version=17, dynamic_axes={key: {axis: f"{key}_{axis}" for axis in axes} for key, axes in moving.items()})
    with torch.no_grad():
        torch.onnx.export(wrapped, tuple(feeds[0].values()), folder / "model.onnx", **options)
    runs = [faithful(folder / "model.onnx", case, answer) for case, answer in zip(feeds, answers)]
    feeds, answers = ([each for each, right in zip(group, runs) if right] for group in (feeds, answers))
    if not feeds:
        raise ValueError("the file gives something else than PyTorch")
    flat = lambda cases: {f"{i}.{key}": value.contiguous() for i, case in enumerate(cases) for key, value in case.items()}
    save_file(flat(feeds), folder / "inputs.safetensors")
    save_file(flat([dict(zip(outputs, answer)) for answer in answers]), folder / "expected.safetensors")


def qkv(command, *rest, **more):
    return subprocess.run(["node", ROOT / "dist/src/cli/main.js", command, *rest], check=True, **more)


def check(name, folder):
    """The largest difference of `qkv run` from PyTorch by way of compiling, and how many attentions were found."""
    expected = load_file(folder / "expected.safetensors")
    found = {}
    for way, options in WAYS.items():
        qkv("run", folder / "model.onnx", "--inputs", folder / "inputs.safetensors",
            "--outputs", folder / "out.safetensors", *options)
        answer = load_file(folder / "out.safetensors")
        found[way] = max((answer[key] - wanted).abs().max().item() for key, wanted in expected.items())
    passes = json.loads(qkv("explain", folder / "model.onnx", "--json", capture_output=True, text=True).stdout)
    fired = sum(step["rules"]["fired"].get("attention", 0) for step in passes)
    return found | {"attentions": f"{fired}/{CASES[name][3]}"}, fired >= CASES[name][3] and all(found[way] < 1e-4 for way in WAYS)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names that start with this")
    parser.add_argument("--keep", help="write the exports here and check nothing")
    flags = parser.parse_args()
    warnings.filterwarnings("ignore")
    failed = False
    for name in CASES:
        for variant in [variant for variant in variants(name) if variant.startswith(flags.only or "")]:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(flags.keep or place) / variant
                folder.mkdir(parents=True, exist_ok=True)
                try:
                    export(variant, folder)
                except Exception as error:
                    print(json.dumps({"export": variant, "refused by PyTorch": str(error).splitlines()[0][:160]}), flush=True)
                    continue
                if flags.keep:
                    continue
                figures, right = check(name, folder)
                failed |= not right
                print(json.dumps({"export": variant} | figures), flush=True)
    sys.exit(1 if failed else 0)


main()
