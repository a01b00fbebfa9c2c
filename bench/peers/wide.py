"""A random model of realistic width, exported to ONNX by PyTorch, to be timed with `qkv compare`.

    python bench/peers/wide.py KIND eager|sdpa dynamo|torchscript FILE [--window 128] [--layers 4]

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

    def forward(self, input_ids, attention_mask):
        cache = {"use_cache": False} if decodes else {}
        return self.m(input_ids=input_ids, attention_mask=attention_mask, **cache)[0]


ids = torch.randint(4, 1000, (2, 33))
options = dict(input_names=["input_ids", "attention_mask"], output_names=["logits"])
if given.exporter == "dynamo":
    open_dims = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    options |= dict(dynamo=True, external_data=False, dynamic_shapes=dict(input_ids=open_dims, attention_mask=open_dims))
else:
    axes = {0: "batch", 1: "seq"}
    options |= dict(dynamo=False, opset_version=17, dynamic_axes=dict(input_ids=axes, attention_mask=axes))
with torch.no_grad():
    torch.onnx.export(Wrapped(), (ids, torch.ones_like(ids)), given.file, **options)
