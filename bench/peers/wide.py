"""A random model of realistic width, exported to ONNX by PyTorch, to be timed with `qkv compare`.

    python bench/peers/wide.py KIND eager|sdpa dynamo|torchscript FILE [--window 128] [--layers 4] [--cache]

KIND is a model type of `transformers` that takes tokens: gpt2, llama, opt, mistral, gemma2, deepseek_v3, jetmoe, modernbert …
d 512, 8 heads of 64, batch and length open. `qkv compare FILE` names the dimensions; give all of the batch as 1.
"""

import argparse

import torch
import transformers as hf

flags = argparse.ArgumentParser(description=__doc__)
flags.add_argument("kind")
flags.add_argument("attention", choices=["eager", "sdpa"])
flags.add_argument("exporter", choices=["dynamo", "torchscript"])
flags.add_argument("file")
flags.add_argument("--window", type=int, default=128)
flags.add_argument("--layers", type=int, default=4)
flags.add_argument("--cache", action="store_true", help="keys and values of before as inputs, and all of them as outputs")
given = flags.parse_args()

shared = dict(vocab_size=1000, hidden_size=512, num_hidden_layers=given.layers, num_attention_heads=8, max_position_embeddings=8192,
              intermediate_size=1024, pad_token_id=0, bos_token_id=1, eos_token_id=2)
windowed = dict(num_key_value_heads=4, head_dim=64, sliding_window=given.window)
own = {
    "mistral": windowed,
    "gemma2": windowed,
    "llama": dict(num_key_value_heads=4),
    "opt": dict(ffn_dim=1024, word_embed_proj_dim=512),
    "modernbert": dict(intermediate_size=768, cls_token_id=1, sep_token_id=2, local_attention=given.window,
                       global_attn_every_n_layers=2),
    "deepseek_v3": dict(num_key_value_heads=8, kv_lora_rank=128, q_lora_rank=192, qk_nope_head_dim=32, qk_rope_head_dim=32,
                        v_head_dim=64, first_k_dense_replace=given.layers),
    "jetmoe": dict(num_key_value_heads=4, kv_channels=64, num_local_experts=4),
}
config = hf.AutoConfig.for_model(given.kind, **(shared | own.get(given.kind, {})))
decodes = type(config) in hf.MODEL_FOR_CAUSAL_LM_MAPPING and given.kind != "bert"
torch.manual_seed(0)
model = (hf.AutoModelForCausalLM if decodes else hf.AutoModel).from_config(config, attn_implementation=given.attention).eval()


class Wrapped(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.m = model

    def forward(self, input_ids, attention_mask, *past):
        if past:
            cache = hf.DynamicCache()
            for i in range(len(past) // 2):
                cache.update(past[2 * i], past[2 * i + 1], i)
            answer = self.m(input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True)
            return (answer[0], *tensors(answer.past_key_values))
        return self.m(input_ids=input_ids, attention_mask=attention_mask, **({"use_cache": False} if decodes else {}))[0]


tensors = lambda cache: [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
ids = torch.randint(4, 1000, (2, 33))
with torch.no_grad():
    past = tensors(model(input_ids=ids[:, :7], use_cache=True).past_key_values) if given.cache else []
mask = torch.ones(2, 33 + (7 if past else 0), dtype=torch.int64)
kept = [f"{i}.{part}" for i in range(len(past) // 2) for part in ("key", "value")]
names = ["input_ids", "attention_mask", *(f"past_key_values.{name}" for name in kept)]
options = dict(input_names=names, output_names=["logits", *(f"present.{name}" for name in kept)])
if given.exporter == "dynamo":
    open_dims = lambda axis: {0: torch.export.Dim.DYNAMIC, axis: torch.export.Dim.DYNAMIC}
    shapes = (open_dims(1), open_dims(1), *([tuple(open_dims(2) for _ in past)] if past else []))
    options |= dict(dynamo=True, external_data=False, dynamic_shapes=shapes)
else:
    axes = {name: {0: "batch", 2: "past"} for name in names}
    axes |= dict(input_ids={0: "batch", 1: "seq"}, attention_mask={0: "batch", 1: "total" if past else "seq"})
    axes |= {f"present.{name}": {0: "batch", 2: "all"} for name in kept}
    options |= dict(dynamo=False, opset_version=17, dynamic_axes=axes)
with torch.no_grad():
    torch.onnx.export(Wrapped(), (ids, mask, *past), given.file, **options)
