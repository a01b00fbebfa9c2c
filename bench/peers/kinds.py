"""Every kind of `transformers` that PyTorch exports, small: what `qkv compile` makes of each and how much attention is found.

    python bench/peers/kinds.py causal|cache|masked|seq2seq|steps|image eager|sdpa dynamo|torchscript [KIND …] [--half] [--opset N] [--keep FOLDER]

Random weights, width 64, 2 layers. `cache` is a decoder with the keys and values of before, `steps` one that attends to an
encoder's output besides. `compile` runs each beside the naive graph; a line a kind: attentions found, softmaxes in
the file, the nearest misses. Fails where `compile` does.
"""

import argparse
import subprocess
import sys
import warnings
from pathlib import Path

import torch
import transformers as hf
from found import folder, tell
from transformers.modeling_outputs import BaseModelOutput

MODELS = {
    "causal": (hf.MODEL_FOR_CAUSAL_LM_MAPPING, hf.AutoModelForCausalLM),
    "cache": (hf.MODEL_FOR_CAUSAL_LM_MAPPING, hf.AutoModelForCausalLM),
    "masked": (hf.MODEL_FOR_MASKED_LM_MAPPING, hf.AutoModelForMaskedLM),
    "seq2seq": (hf.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, hf.AutoModelForSeq2SeqLM),
    "steps": (hf.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, hf.AutoModelForSeq2SeqLM),
    "image": (hf.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, hf.AutoModelForImageClassification),
}
SIZES = dict(
    vocab_size=100, hidden_size=64, d_model=64, n_embd=64, dim=64, emb_dim=64, embedding_size=64, num_hidden_layers=2, num_layers=2,
    n_layer=2, n_layers=2, encoder_layers=2, decoder_layers=2, num_decoder_layers=2, num_attention_heads=4, n_head=4, n_heads=4,
    num_heads=4, encoder_attention_heads=4, decoder_attention_heads=4, attention_heads=4, num_key_value_heads=2, intermediate_size=96,
    encoder_ffn_dim=96, decoder_ffn_dim=96, ffn_dim=96, d_ff=96, d_kv=16, head_dim=16, max_position_embeddings=128, n_positions=128,
    max_sequence_length=128, sliding_window=8, window_size=8, attention_window=8, num_local_experts=4, num_experts=4, n_routed_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=32, shared_expert_intermediate_size=32, word_embed_proj_dim=64, kv_lora_rank=24, q_lora_rank=32,
    qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=16, rotary_dim=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    decoder_start_token_id=1, image_size=32, patch_size=8,
)

flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
flags.add_argument("mode", choices=MODELS)
flags.add_argument("attention", choices=["eager", "sdpa"])
flags.add_argument("exporter", choices=["dynamo", "torchscript"])
flags.add_argument("kinds", nargs="*")
flags.add_argument("--half", action="store_true", help="in half precision")
flags.add_argument("--opset", type=int, help="the exporter's own, and 17 for TorchScript, where it is left out; from 23 on attention is one operator")
flags.add_argument("--keep", help="keep the files here")
flags.add_argument("--limit", type=int, default=240, help="seconds for one export")
flags.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
given = flags.parse_args()


def small(kind):
    """A configuration of this kind, as small as it has names for."""
    plain = hf.AutoConfig.for_model(kind)
    names = {plain.attribute_map.get(name, name) for name in SIZES if hasattr(plain, name)}
    wanted = {name: size for name, size in SIZES.items() if name in names or (hasattr(plain, name) and plain.attribute_map.get(name) is None)}
    wanted = {name: size for name, size in wanted.items() if not isinstance(getattr(plain, name, None), (list, tuple))}
    for outer, inner in plain.attribute_map.items():
        if outer in SIZES and isinstance(inner, str):
            wanted.setdefault(inner, SIZES[outer])
    layers = 2
    if isinstance(getattr(plain, "layer_types", None), list):
        wanted["layer_types"] = sorted(set(plain.layer_types))[:2] * 2
        layers = len(wanted["layer_types"])
        for name in ("num_hidden_layers", "n_layer", "num_layers"):
            if name in wanted:
                wanted[name] = layers
    return hf.AutoConfig.for_model(kind, **wanted)


class Wrapped(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask=None, *rest):
        if given.mode == "image":
            return self.model(pixel_values=ids)[0]
        if given.mode == "seq2seq":
            return self.model(input_ids=ids, attention_mask=mask, decoder_input_ids=rest[0], use_cache=False)[0]
        if given.mode == "masked":
            return self.model(input_ids=ids, attention_mask=mask)[0]
        if given.mode == "causal":
            return self.model(input_ids=ids, attention_mask=mask, use_cache=False)[0]
        if given.mode == "steps":
            hidden, *rest = rest
            half = len(rest) // 2
            both = hf.EncoderDecoderCache(filled(rest[:half]), filled(rest[half:]))
            encoded = BaseModelOutput(last_hidden_state=hidden)
            answer = self.model(encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=ids, past_key_values=both, use_cache=True)
            return (answer[0], *tensors(answer.past_key_values.self_attention_cache))
        cache = filled(rest)
        answer = self.model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)
        return (answer[0], *tensors(answer.past_key_values))


def filled(values):
    cache = hf.DynamicCache()
    for i in range(len(values) // 2):
        cache.update(values[2 * i], values[2 * i + 1], i)
    return cache


tensors = lambda cache: [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


def export(kind, file):
    config = small(kind)
    torch.manual_seed(0)
    # Experts one after another need loops whose length is data, and all of them at once a product ONNX has no name for.
    model = MODELS[given.mode][1].from_config(config, attn_implementation=given.attention, experts_implementation="batched_mm").eval()
    model = model.half() if given.half else model
    ids = torch.randint(4, 100, (2, 13))
    rest = []
    if given.mode == "seq2seq":
        rest = [torch.randint(4, 100, (2, 9))]
    if given.mode == "cache":
        with torch.no_grad():
            rest = tensors(model(input_ids=ids[:, :6], use_cache=True).past_key_values)
    if given.mode == "steps":
        with torch.no_grad():
            before = model(input_ids=ids, decoder_input_ids=torch.randint(4, 100, (2, 6)), use_cache=True)
        both = before.past_key_values
        rest = [before.encoder_last_hidden_state, *tensors(both.self_attention_cache), *tensors(both.cross_attention_cache)]
    mask = torch.ones(2, 13 + (6 if given.mode == "cache" else 0), dtype=torch.int64)
    feeds = (torch.randint(4, 100, (2, 3)) if given.mode == "steps" else ids, mask, *rest)
    if given.mode == "image":
        size = getattr(config, "image_size", 32)
        feeds = (torch.randn(2, getattr(config, "num_channels", 3), *((size, size) if isinstance(size, int) else size), dtype=model.dtype),)
    names = ["pixel_values"] if given.mode == "image" else ["input_ids", "attention_mask", *(["decoder_input_ids"] if given.mode == "seq2seq" else [f"past.{i}" for i in range(len(rest))])]
    if given.mode == "steps":
        names[2] = "encoded"
    # The first of the caches: of keys and values the second axis is heads.
    caches = {"cache": 2, "steps": 3}.get(given.mode, len(feeds))
    axis = lambda i: 2 if i >= caches else 1
    options = dict(input_names=names)
    if given.exporter == "dynamo":
        batch = {0: torch.export.Dim.DYNAMIC}
        dynamic = [batch if given.mode == "image" else {**batch, axis(i): torch.export.Dim.DYNAMIC} for i in range(len(feeds))]
        options |= dict(opset_version=given.opset) if given.opset else {}
        options |= dict(dynamo=True, external_data=False, verbose=False, dynamic_shapes=(*dynamic[:2], *([tuple(dynamic[2:])] if rest else [])))
    else:
        all_ = {"cache": "all", "steps": "source"}.get(given.mode, "seq")
        beside = {"seq2seq": "target", "cache": "past", "steps": "source"}.get(given.mode)
        lengths = lambda i: ("seq", all_)[i] if i < 2 else "past" if 3 <= i < 3 + len(rest) // 2 and given.mode == "steps" else beside
        options |= dict(dynamo=False, opset_version=given.opset or 17, dynamic_axes={name: {0: "batch", **({} if given.mode == "image" else {axis(i): lengths(i)})} for i, name in enumerate(names)})
    with torch.no_grad():
        torch.onnx.export(Wrapped(model), feeds, file, **options)


def elsewhere(kind, file):
    """An export in a process of its own, for it may take all memory or never end."""
    again = [sys.executable, __file__, given.mode, given.attention, given.exporter, kind, "--one", "--keep", str(file.parent)]
    again += ["--half"] if given.half else []
    again += ["--opset", str(given.opset)] if given.opset else []
    try:
        made = subprocess.run(again, capture_output=True, text=True, timeout=given.limit)
    except subprocess.TimeoutExpired:
        raise RuntimeError("it takes too long")
    if not file.exists():
        raise RuntimeError(next((line.strip() for line in made.stderr.splitlines() if "Error" in line), "no reason was given"))


file_of = lambda place, kind: place / f"{kind}-{given.mode}-{given.attention}-{given.exporter}.onnx"


def main():
    kinds = given.kinds or sorted({config.model_type for config in MODELS[given.mode][0]})
    with folder(given.keep) as place:
        right = [tell(kind, file_of(place, kind), lambda file: elsewhere(kind, file)) for kind in kinds]
    sys.exit(0 if all(right) else 1)


warnings.filterwarnings("ignore")
if given.one:
    export(given.kinds[0], file_of(Path(given.keep), given.kinds[0]))
else:
    main()
