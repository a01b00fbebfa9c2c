"""Small random checkpoints in odd configurations, run by transformers and by `qkv run`: the largest difference of each.

    python bench/peers/checkpoints.py [--only NAME] [--keep FOLDER]

Fails beyond 1e-4. Everything is float32, attention is transformers' eager one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers as hf
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[2]

LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)
DEEPSEEK_YARN = dict(YARN, mscale=1.0, mscale_all_dim=0.7, beta_fast=16, beta_slow=2)


def sizes(**more):
    return dict(vocab_size=83, hidden_size=40, intermediate_size=56, num_hidden_layers=3, num_attention_heads=5,
                num_key_value_heads=1, head_dim=8, max_position_embeddings=128, bos_token_id=1, eos_token_id=2,
                pad_token_id=0) | more


def deepseek(**more):
    base = sizes(num_key_value_heads=5, kv_lora_rank=12, q_lora_rank=20, qk_rope_head_dim=6, qk_nope_head_dim=10,
                 v_head_dim=7, n_routed_experts=6, num_experts_per_tok=2, n_group=3, topk_group=2, n_shared_experts=2,
                 moe_intermediate_size=24, first_k_dense_replace=1)
    del base["head_dim"]
    return base | more


def encoder(**more):
    return dict(vocab_size=83, hidden_size=30, num_hidden_layers=3, num_attention_heads=5, intermediate_size=44,
                max_position_embeddings=60) | more


def t5(**more):
    return dict(vocab_size=83, d_model=30, d_kv=7, d_ff=44, num_layers=3, num_decoder_layers=1, num_heads=5,
                relative_attention_num_buckets=10, relative_attention_max_distance=20) | more


def pair(**more):
    return dict(vocab_size=83, d_model=30, encoder_layers=1, decoder_layers=3, encoder_attention_heads=5,
                decoder_attention_heads=3, encoder_ffn_dim=22, decoder_ffn_dim=34, max_position_embeddings=50,
                bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2) | more


def whisper(**more):
    return pair(num_mel_bins=11, max_source_positions=13, max_target_positions=40) | more


# name: (model file, configuration, model, its options)
CASES = {
    "bert-quick": ("bert", hf.BertConfig, hf.BertModel, encoder(
        hidden_act="quick_gelu", type_vocab_size=4, layer_norm_eps=1e-5)),
    "modernbert-odd": ("modernbert", hf.ModernBertConfig, hf.ModernBertModel, encoder(
        num_attention_heads=3, num_hidden_layers=5, local_attention=7, hidden_activation="silu", norm_bias=True,
        attention_bias=True, mlp_bias=True, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1,
        sep_token_id=2)),
    "vit-cut": ("vit", hf.ViTConfig, hf.ViTModel, dict(
        hidden_size=30, num_hidden_layers=3, num_attention_heads=5, intermediate_size=44, image_size=30, patch_size=7,
        num_channels=1, qkv_bias=False, hidden_act="gelu_new")),
    "t5-gated-untied": ("t5", hf.T5Config, hf.T5ForConditionalGeneration, t5(
        feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
    "t5-odd-buckets": ("t5", hf.T5Config, hf.T5ForConditionalGeneration, t5(
        feed_forward_proj="silu", relative_attention_num_buckets=9, relative_attention_max_distance=30)),
    "t5-plain": ("t5", hf.T5Config, hf.T5Model, t5()),
    "t5-multilingual": ("t5", hf.MT5Config, hf.MT5ForConditionalGeneration, t5(feed_forward_proj="gated-gelu")),
    "bart-scaled": ("bart", hf.BartConfig, hf.BartForConditionalGeneration, pair(
        scale_embedding=True, activation_function="relu")),
    "bart-untied": ("bart", hf.BartConfig, hf.BartForConditionalGeneration, pair(
        tie_word_embeddings=False, activation_function="gelu_new")),
    "bart-norms-first": ("bart", hf.MBartConfig, hf.MBartForConditionalGeneration, pair(scale_embedding=True)),
    "bart-plain": ("bart", hf.BartConfig, hf.BartModel, pair()),
    "marian-odd": ("marian", hf.MarianConfig, hf.MarianMTModel, pair(
        d_model=33, encoder_attention_heads=3, decoder_attention_heads=11)),
    "marian-plain": ("marian", hf.MarianConfig, hf.MarianModel, pair()),
    "marian-scaled": ("marian", hf.MarianConfig, hf.MarianMTModel, pair(
        scale_embedding=True, activation_function="swish")),
    "marian-unshared": ("marian", hf.MarianConfig, hf.MarianMTModel, pair(
        share_encoder_decoder_embeddings=False, decoder_vocab_size=83, activation_function="relu")),
    "whisper-odd": ("whisper", hf.WhisperConfig, hf.WhisperForConditionalGeneration, whisper(
        scale_embedding=True, activation_function="gelu_new")),
    "whisper-plain": ("whisper", hf.WhisperConfig, hf.WhisperModel, whisper()),
    "whisper-untied": ("whisper", hf.WhisperConfig, hf.WhisperForConditionalGeneration, whisper(
        encoder_attention_heads=3, decoder_attention_heads=5, tie_word_embeddings=False)),
    "gpt2-odd": ("gpt2", hf.GPT2Config, hf.GPT2LMHeadModel, dict(
        vocab_size=83, bos_token_id=1, eos_token_id=2, n_embd=35, n_layer=3, n_head=5, n_positions=64, n_inner=50, activation_function="relu",
        scale_attn_by_inverse_layer_idx=True)),
    "gpt2-untied": ("gpt2", hf.GPT2Config, hf.GPT2LMHeadModel, dict(
        vocab_size=83, bos_token_id=1, eos_token_id=2, n_embd=42, n_layer=1, n_head=3, n_positions=64, activation_function="gelu",
        tie_word_embeddings=False, scale_attn_weights=False)),
    "gpt2-plain": ("gpt2", hf.GPT2Config, hf.GPT2Model, dict(vocab_size=83, bos_token_id=1, eos_token_id=2, n_embd=28, n_layer=2, n_head=7, n_positions=64)),
    "llama-5-1": ("llama", hf.LlamaConfig, hf.LlamaForCausalLM, sizes(
        tie_word_embeddings=True, attention_bias=True, mlp_bias=True, hidden_act="gelu_pytorch_tanh")),
    "llama-llama3": ("llama", hf.LlamaConfig, hf.LlamaForCausalLM, sizes(
        hidden_size=42, num_attention_heads=6, num_key_value_heads=3, head_dim=12, rope_parameters=LLAMA3,
        rms_norm_eps=1e-5)),
    "llama-yarn": ("llama", hf.LlamaConfig, hf.LlamaForCausalLM, sizes(head_dim=16, rope_parameters=YARN)),
    "llama-linear": ("llama", hf.LlamaConfig, hf.LlamaForCausalLM, sizes(
        rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=5000.0), num_key_value_heads=5)),
    "llama-plain": ("llama", hf.LlamaConfig, hf.LlamaModel, sizes(num_hidden_layers=1)),
    "mistral-3-3": ("mistral", hf.MistralConfig, hf.MistralForCausalLM, sizes(
        hidden_size=30, num_attention_heads=3, num_key_value_heads=3, head_dim=10, sliding_window=5, hidden_act="relu2")),
    "mistral-whole": ("mistral", hf.MistralConfig, hf.MistralForCausalLM, sizes(
        sliding_window=None, tie_word_embeddings=True)),
    "qwen3-7-1": ("qwen3", hf.Qwen3Config, hf.Qwen3ForCausalLM, sizes(
        hidden_size=35, num_attention_heads=7, head_dim=6, tie_word_embeddings=False, attention_bias=True)),
    "qwen3-window": ("qwen3", hf.Qwen3Config, hf.Qwen3ForCausalLM, sizes(
        use_sliding_window=True, sliding_window=4, max_window_layers=1, tie_word_embeddings=True)),
    "gemma2-odd": ("gemma2", hf.Gemma2Config, hf.Gemma2ForCausalLM, sizes(
        hidden_size=36, num_attention_heads=6, num_key_value_heads=2, head_dim=14, sliding_window=3,
        query_pre_attn_scalar=20, attn_logit_softcapping=2.0, final_logit_softcapping=1.5)),
    "gemma2-uncapped": ("gemma2", hf.Gemma2Config, hf.Gemma2ForCausalLM, sizes(
        attn_logit_softcapping=None, final_logit_softcapping=None, hidden_activation="silu", tie_word_embeddings=False)),
    "gemma3-7": ("gemma3", hf.Gemma3TextConfig, hf.Gemma3ForCausalLM, sizes(
        num_hidden_layers=7, sliding_window=6, query_pre_attn_scalar=10)),
    "gemma3-scaled": ("gemma3", hf.Gemma3TextConfig, hf.Gemma3ForCausalLM, sizes(
        num_hidden_layers=3, sliding_window=6, layer_types=["full_attention", "sliding_attention", "full_attention"],
        attn_logit_softcapping=3.0, final_logit_softcapping=2.0, attention_bias=True,
        rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
                             sliding_attention=dict(rope_type="default", rope_theta=2e4)))),
    "deepseek_v3-moe": ("deepseek-v3", hf.DeepseekV3Config, hf.DeepseekV3ForCausalLM, deepseek()),
    "deepseek_v3-direct": ("deepseek-v3", hf.DeepseekV3Config, hf.DeepseekV3ForCausalLM, deepseek(
        q_lora_rank=None, rope_interleave=False, n_group=1, topk_group=1, norm_topk_prob=False, n_shared_experts=1,
        first_k_dense_replace=0, tie_word_embeddings=True, attention_bias=True)),
    "deepseek_v3-yarn": ("deepseek-v3", hf.DeepseekV3Config, hf.DeepseekV3ForCausalLM, deepseek(
        rope_parameters=DEEPSEEK_YARN, first_k_dense_replace=3)),
}

COMPILATIONS = {"naive": ["--naive"], "ort-cpu": [], "onnx": ["--target", "onnx"]}


def randomise(model):
    """Weights far enough from zero that every part counts."""
    for name, weight in list(model.named_parameters()) + list(model.named_buffers()):
        if weight.is_floating_point() and "inv_freq" not in name and "embed_scale" not in name:
            torch.nn.init.normal_(weight, 0.1 if "norm" in name else 0.0, 0.3 if weight.dim() == 1 else 0.2)


def cases(config):
    """Inputs: alone, in a batch, padded right, padded left with positions counted from the first real token."""
    draw = lambda *dims: torch.randint(3, config.vocab_size, dims)
    right = torch.ones(2, 17, dtype=torch.int64)
    right[1, 11:] = 0
    left = torch.ones(2, 15, dtype=torch.int64)
    left[0, :6] = 0
    positions = (left.cumsum(-1) - 1).clamp(min=0)
    if config.model_type == "vit":
        images = [(batch, config.num_channels, config.image_size, config.image_size) for batch in (1, 3)]
        return [dict(pixel_values=torch.randn(*image)) for image in images]
    if config.model_type == "whisper":
        sounds = [(batch, config.num_mel_bins, 2 * config.max_source_positions) for batch in (1, 3)]
        return [dict(input_features=torch.randn(*sound), decoder_input_ids=draw(sound[0], 17)) for sound in sounds]
    if config.is_encoder_decoder:
        return [
            dict(input_ids=draw(1, 1), decoder_input_ids=draw(1, 1)),
            dict(input_ids=draw(1, 33), decoder_input_ids=draw(1, 17)),
            dict(input_ids=draw(2, 17), attention_mask=right, decoder_input_ids=draw(2, 9)),
        ]
    if "bert" in config.model_type:
        types = dict(token_type_ids=torch.ones(2, 17, dtype=torch.int64)) if config.model_type == "bert" else {}
        return [
            dict(input_ids=draw(1, 33)),
            dict(input_ids=draw(2, 17), attention_mask=right, **types),
        ]
    return [
        dict(input_ids=draw(1, 1)),
        dict(input_ids=draw(1, 33)),
        dict(input_ids=draw(3, 8)),
        dict(input_ids=draw(2, 17), attention_mask=right),
        dict(input_ids=draw(2, 15), attention_mask=left, position_ids=positions),
        dict(input_ids=draw(2, 15), attention_mask=left.clone()),
    ]


def real(output, case):
    """An output with the rows of padding set to zero, where it has rows for the tokens that may be padding."""
    mask = case.get("attention_mask")
    return output if mask is None or "decoder_input_ids" in case else output * mask[..., None]


def write(name, folder):
    """Writes checkpoint, inputs and what transformers gives; padded rows are zeroed."""
    _, configuration, kind, options = CASES[name]
    torch.manual_seed(sum(name.encode()))
    model = kind(configuration(**options, attn_implementation="eager")).eval()
    randomise(model)
    model.tie_weights()
    model.save_pretrained(folder)
    # Positions that are computed are not stored: what was random of them is lost.
    model = kind.from_pretrained(folder, attn_implementation="eager").eval()
    inputs, expected = {}, {}
    for i, case in enumerate(cases(model.config)):
        with torch.no_grad():
            answer = model(**case)
        output = "logits" if "logits" in answer else "last_hidden_state"
        expected[f"{i}.{output}"] = real(answer[output], case).contiguous()
        inputs |= {f"{i}.{key}": value for key, value in case.items()}
    save_file(inputs, folder / "inputs.safetensors")
    save_file(expected, folder / "expected.safetensors")


def run(name, folder):
    """The largest difference of `qkv run` from transformers over all cases, by way of compiling."""
    inputs, expected = load_file(folder / "inputs.safetensors"), load_file(folder / "expected.safetensors")
    worst = {}
    for way, options in COMPILATIONS.items():
        differences = []
        for key, wanted in expected.items():
            case, output = key.split(".", 1)
            feeds = {k.split(".", 1)[1]: v for k, v in inputs.items() if k.startswith(f"{case}.")}
            save_file(feeds, folder / "case.safetensors")
            model = ROOT / "models" / f"{CASES[name][0]}.ts"
            subprocess.run(["node", ROOT / "dist/src/cli/main.js", "run", model, "--no-types", "--weights", folder,
                            "--inputs", folder / "case.safetensors", "--outputs", folder / "out.safetensors", *options],
                           check=True)
            answer = real(load_file(folder / "out.safetensors")[output], feeds)
            differences.append((answer - wanted).abs().max().item())
        worst[way] = max(differences)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names that start with this")
    parser.add_argument("--keep", help="write the checkpoints here and run nothing")
    flags = parser.parse_args()
    failed = False
    for name in [name for name in CASES if name.startswith(flags.only or "")]:
        if flags.keep:
            folder = Path(flags.keep) / name
            folder.mkdir(parents=True, exist_ok=True)
            write(name, folder)
            continue
        with tempfile.TemporaryDirectory() as place:
            write(name, Path(place))
            worst = run(name, Path(place))
        failed |= any(not difference < 1e-4 for difference in worst.values())
        print(json.dumps({"checkpoint": name} | worst), flush=True)
    sys.exit(1 if failed else 0)


main()
