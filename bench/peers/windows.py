"""A four-layer random model with windows or a soft-cap, exported to ONNX by PyTorch, to be timed with `qkv compare`.

    python bench/peers/windows.py mistral|modernbert|gemma2 eager|sdpa dynamo|torchscript FILE [--window 128]

d 512, 8 heads of 64, batch and length open. `qkv compare FILE` names the dimensions; give all of the batch as 1.
"""

import argparse

import torch
import transformers as hf

flags = argparse.ArgumentParser(description=__doc__)
flags.add_argument("kind", choices=["mistral", "modernbert", "gemma2"])
flags.add_argument("attention", choices=["eager", "sdpa"])
flags.add_argument("exporter", choices=["dynamo", "torchscript"])
flags.add_argument("file")
flags.add_argument("--window", type=int, default=128)
given = flags.parse_args()

shared = dict(vocab_size=1000, hidden_size=512, num_hidden_layers=4, num_attention_heads=8, max_position_embeddings=8192,
              pad_token_id=0, bos_token_id=1, eos_token_id=2, attn_implementation=given.attention)
grouped = dict(intermediate_size=1024, num_key_value_heads=4, head_dim=64, sliding_window=given.window)
models = {
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**shared, **grouped)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**shared, **grouped)),
    "modernbert": lambda: hf.ModernBertModel(hf.ModernBertConfig(**shared, intermediate_size=768, cls_token_id=1, sep_token_id=2,
                                                                 local_attention=given.window, global_attn_every_n_layers=2)),
}
torch.manual_seed(0)
model = models[given.kind]().eval()


class Wrapped(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.m = model

    def forward(self, input_ids, attention_mask):
        cache = {} if given.kind == "modernbert" else {"use_cache": False}
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
