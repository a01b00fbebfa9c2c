"""Models of images, sound, page layouts and series as PyTorch exports them, small: how much attention `qkv compile` finds.

    python bench/peers/media.py eager|sdpa dynamo|torchscript [NAME …] [--keep FOLDER]

Random weights, sizes of the inputs fixed but for the batch of TorchScript. `compile` runs each beside the naive graph; a line a
model: attentions found, softmaxes in the file, the nearest misses. Fails where `compile` does.
"""

import argparse
import sys
import warnings

import torch
import transformers as hf
from found import folder, tell

flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
flags.add_argument("attention", choices=["eager", "sdpa"])
flags.add_argument("exporter", choices=["dynamo", "torchscript"])
flags.add_argument("names", nargs="*")
flags.add_argument("--keep", help="keep the files here")

body = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96)
patches = dict(body, image_size=32, patch_size=8)
text = dict(body, vocab_size=100, max_position_embeddings=64)
windows = dict(image_size=32, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4)
stages = dict(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 3, 4])
frames = dict(body, image_size=32, num_frames=4)
waves = dict(body, vocab_size=32, conv_dim=[16, 16], conv_stride=[5, 2], conv_kernel=[10, 3], num_feat_extract_layers=2)
waves |= dict(num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
both = dict(vocab_size=100, d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4)
both |= dict(encoder_ffn_dim=96, decoder_ffn_dim=96, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)
boxes = dict(text, max_2d_position_embeddings=64)

image = lambda size=32: torch.randn(2, 3, size, size)
ids = lambda length=9: torch.randint(4, 90, (2, length))
seen = lambda length=9: torch.ones(2, length, dtype=torch.long)
page = lambda: dict(input_ids=ids(), bbox=torch.randint(0, 20, (2, 9, 1)).repeat(1, 1, 4), attention_mask=seen())
pixels = lambda size=32: lambda: dict(pixel_values=image(size))
film = lambda: dict(pixel_values=torch.randn(1, 4, 3, 32, 32))
sound = lambda: dict(input_values=torch.randn(2, 400))

# A model's class, the settings of its configuration, and inputs.
MODELS = {
    "ast": (hf.ASTForAudioClassification, dict(body, max_length=64, num_mel_bins=32), lambda: dict(input_values=torch.randn(2, 64, 32))),
    "blip": (hf.BlipVisionModel, patches, pixels()),
    "clap": (hf.ClapAudioModel, dict(spec_size=64, patch_embeds_hidden_size=16, hidden_size=64, depths=[2, 2], num_attention_heads=[2, 4], window_size=4, num_mel_bins=16), lambda: dict(input_features=torch.randn(1, 1, 256, 16))),
    "clip": (hf.CLIPModel, dict(text_config=text, vision_config=patches, projection_dim=32), lambda: dict(input_ids=ids(), pixel_values=image(), attention_mask=seen())),
    "deit": (hf.DeiTForImageClassification, patches, pixels()),
    "detr": (hf.DetrForObjectDetection, dict(both, num_queries=10, use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=hf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], out_features=["stage2"])), pixels(64)),
    "donut-swin": (hf.DonutSwinModel, windows, pixels()),
    "dpt": (hf.DPTForDepthEstimation, dict(patches, num_hidden_layers=4, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[16] * 4, fusion_hidden_size=16, is_hybrid=False), pixels()),
    "hiera": (hf.HieraForImageClassification, dict(image_size=[64, 64], embed_dim=16, depths=[1, 2, 1, 1], num_heads=[1, 2, 4, 8]), pixels(64)),
    "hubert": (hf.HubertForCTC, waves, sound),
    "layoutlm": (hf.LayoutLMForMaskedLM, boxes, page),
    "layoutlmv3": (hf.LayoutLMv3ForTokenClassification, dict(boxes, coordinate_size=10, shape_size=12, input_size=32, patch_size=8, rel_pos_bins=8, max_rel_pos=16, rel_2d_pos_bins=8, max_rel_2d_pos=16), lambda: dict(page(), pixel_values=image())),
    "levit": (hf.LevitForImageClassification, dict(image_size=64, hidden_sizes=[32, 48, 64], num_attention_heads=[2, 3, 4], depths=[1, 1, 1], key_dim=[8, 8, 8]), pixels(64)),
    "mobilevit": (hf.MobileViTForImageClassification, dict(image_size=64, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 16, 16, 24, 24, 32, 32], num_attention_heads=2), pixels(64)),
    "mobilevitv2": (hf.MobileViTV2ForImageClassification, dict(image_size=64, width_multiplier=0.25), pixels(64)),
    "patchtst": (hf.PatchTSTForPrediction, dict(d_model=32, num_attention_heads=4, num_hidden_layers=2, ffn_dim=48, context_length=32, prediction_length=8, patch_length=4, patch_stride=4), lambda: dict(past_values=torch.randn(2, 32, 1))),
    "perceiver": (hf.PerceiverForMaskedLM, dict(num_latents=16, d_latents=64, d_model=48, num_blocks=1, num_self_attends_per_block=2, num_self_attention_heads=4, num_cross_attention_heads=4, vocab_size=100, max_position_embeddings=32), lambda: dict(inputs=ids(32), attention_mask=seen(32))),
    "pvt": (hf.PvtForImageClassification, dict(stages, image_size=64), pixels(64)),
    "pvt_v2": (hf.PvtV2ForImageClassification, dict(stages, image_size=64), pixels(64)),
    "sam": (hf.SamVisionModel, dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, mlp_dim=96, image_size=64, patch_size=8, window_size=4, global_attn_indexes=[1], output_channels=16), pixels(64)),
    "segformer": (hf.SegformerForImageClassification, stages, pixels(64)),
    "siglip": (hf.SiglipModel, dict(text_config=text, vision_config=patches), lambda: dict(input_ids=ids(), pixel_values=image())),
    "speech_to_text": (hf.Speech2TextForConditionalGeneration, dict(both, max_source_positions=100, max_target_positions=50, conv_channels=32, input_feat_per_channel=20), lambda: dict(input_features=torch.randn(2, 40, 20), decoder_input_ids=ids())),
    "swiftformer": (hf.SwiftFormerForImageClassification, dict(image_size=64, depths=[1, 1, 1, 1], embed_dims=[16, 16, 32, 32]), pixels(64)),
    "swin": (hf.SwinForImageClassification, windows, pixels()),
    "swinv2": (hf.Swinv2ForImageClassification, windows, pixels()),
    "timesformer": (hf.TimesformerForVideoClassification, dict(frames, patch_size=16), film),
    "videomae": (hf.VideoMAEForVideoClassification, dict(frames, patch_size=16), film),
    "vivit": (hf.VivitForVideoClassification, dict(frames, tubelet_size=[2, 16, 16]), film),
    "wav2vec2": (hf.Wav2Vec2ForCTC, waves, sound),
    "wav2vec2-bert": (hf.Wav2Vec2BertForCTC, dict(body, vocab_size=32, feature_projection_input_dim=20, conv_depthwise_kernel_size=7), lambda: dict(input_features=torch.randn(2, 30, 20))),
    "wav2vec2-conformer": (hf.Wav2Vec2ConformerForCTC, dict(waves, conv_depthwise_kernel_size=7), sound),
    "wavlm": (hf.WavLMForCTC, waves, sound),
    "whisper": (hf.WhisperForConditionalGeneration, dict(both, num_mel_bins=20, max_source_positions=50, max_target_positions=50), lambda: dict(input_features=torch.randn(2, 20, 100), decoder_input_ids=ids())),
    "yolos": (hf.YolosForObjectDetection, dict(patches, image_size=[32, 32], num_detection_tokens=5), pixels()),
}


class First(torch.nn.Module):
    """The first tensor a model answers."""

    def __init__(self, model, names):
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *tensors):
        answer = self.model(**dict(zip(self.names, tensors)))
        return next(one for one in answer.to_tuple() if isinstance(one, torch.Tensor))


def export(name, attention, exporter, file):
    torch.manual_seed(0)
    cls, settings, inputs = MODELS[name]
    model = cls._from_config(cls.config_class(**settings), attn_implementation=attention).eval()
    feeds = inputs()
    options = dict(input_names=list(feeds))
    if exporter == "dynamo":
        options |= dict(dynamo=True, external_data=False, verbose=False)
    else:
        options |= dict(dynamo=False, opset_version=17, dynamic_axes={key: {0: "batch"} for key in feeds})
    with torch.no_grad():
        torch.onnx.export(First(model, list(feeds)), tuple(feeds.values()), file, **options)


def main():
    given = flags.parse_args()
    with folder(given.keep) as place:
        files = {name: place / f"{name}-{given.attention}-{given.exporter}.onnx" for name in given.names or MODELS}
        right = [tell(name, file, lambda to: export(name, given.attention, given.exporter, to)) for name, file in files.items()]
    sys.exit(0 if all(right) else 1)


warnings.filterwarnings("ignore")
main()
