"""The models of keras-hub that take images or sound beside text."""

from __future__ import annotations

from typing import Any

import keras_hub
import numpy as np
from keras_hub.src.models.gemma3n.gemma3n_audio_encoder import Gemma3nAudioEncoder
from keras_hub.src.models.mobilenetv5.mobilenetv5_builder import convert_arch_def_to_stackwise

from foreign.entry import VOCABULARY, Foreign, constant, floats
from foreign.hub_entry import hub
from foreign.hub_text import DECODER, HEADS, LAYERS, WORDS, t5gemma_arguments
from foreign.hub_transformers import clip_text, vit

models = keras_hub.models

SHAPE = (16, 16, 3)
VISION = {"patch_size": 4, "image_shape": SHAPE, **LAYERS, **HEADS}
ENCODER = {"image_size": 16, "patch_size": 4, "pool_size": 2, "output_dim": 16, **LAYERS, **HEADS}
TOKENS = 8
"""Of a sequence of text with an image, whose four tokens begin at the third."""


def clip() -> Any:
    return models.CLIPBackbone(models.CLIPVisionEncoder(**VISION), clip_text(), 8)


def metaclip_2() -> Any:
    text = models.MetaCLIP2TextEncoder(
        **WORDS, **LAYERS, **HEADS, embedding_dim=16, max_sequence_length=8
    )
    return models.MetaCLIP2Backbone(models.MetaCLIP2VisionEncoder(**VISION), text, 8)


def siglip() -> Any:
    text = models.SigLIPTextEncoder(
        **WORDS, **LAYERS, **HEADS, embedding_dim=16, max_sequence_length=8
    )
    return models.SigLIPBackbone(models.SigLIPVisionEncoder(**VISION), text)


def gemma3(vision: bool) -> Any:
    encoder = models.Gemma3VisionEncoder(**ENCODER) if vision else None
    return models.Gemma3Backbone(
        **DECODER,
        image_size=16,
        head_dim=8,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        use_sliding_window_attention=True,
        sliding_window_size=4,
        vision_encoder=encoder,
    )


def gemma4(vision: bool = False, audio: bool = False, **kwargs: Any) -> Any:
    encoder = models.Gemma4VisionEncoder(**ENCODER, head_dim=8) if vision else None
    sound = (
        models.Gemma4AudioEncoder(
            input_feat_size=8,
            hidden_size=8,
            num_heads=2,
            num_layers=1,
            chunk_size=4,
            context_left=5,
            context_right=0,
            sscp_conv_channels=(4, 2),
            sscp_kernel_sizes=((3, 3), (3, 3)),
            sscp_stride_sizes=((2, 2), (2, 2)),
            output_proj_dims=None,
            output_dim=16,
        )
        if audio
        else None
    )
    return models.Gemma4Backbone(
        **DECODER,
        image_size=16,
        head_dim=8,
        sliding_window_size=4,
        vision_encoder=encoder,
        audio_encoder=sound,
        num_audio_tokens_per_clip=4 if audio else None,
        **kwargs,
    )


def gemma3n() -> Any:
    vision = models.MobileNetV5Backbone(
        **convert_arch_def_to_stackwise([["er_r1_k3_s1_e1_c16"]]),
        num_features=4,
        image_shape=SHAPE,
        use_msfa=False,
    )
    audio = Gemma3nAudioEncoder(
        hidden_size=8,
        input_feat_size=16,
        sscp_conv_channel_size=[4, 8],
        sscp_conv_kernel_size=[(3, 3), (3, 3)],
        sscp_conv_stride_size=[(2, 2), (2, 2)],
        sscp_conv_group_norm_eps=1e-5,
        num_hidden_layers=1,
        rms_norm_eps=1e-6,
        gradient_clipping=1.0,
        residual_weight=0.5,
        num_attention_heads=1,
        attention_chunk_size=4,
        num_attention_context_right=5,
        num_attention_context_left=5,
        attention_logit_cap=50.0,
        conv_kernel_size=5,
        reduction_factor=1,
    )
    return models.Gemma3nBackbone(
        text_vocab_size=50,
        text_hidden_size=8,
        num_hidden_layers=1,
        pad_token_id=0,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        intermediate_size=[16],
        hidden_activation="gelu_approximate",
        layer_types=["full_attention"],
        sliding_window=4,
        rope_theta=10000.0,
        max_position_embeddings=16,
        vocab_size_per_layer_input=50,
        hidden_size_per_layer_input=2,
        altup_num_inputs=2,
        laurel_rank=1,
        vision_encoder_config=vision.get_config(),
        vision_hidden_size=16,
        audio_encoder_config=audio.get_config(),
        audio_hidden_size=8,
    )


def pali_gemma() -> Any:
    return models.PaliGemmaBackbone(
        **DECODER,
        image_size=16,
        head_dim=8,
        vit_patch_size=4,
        vit_num_heads=2,
        vit_hidden_dim=16,
        vit_intermediate_dim=32,
        vit_num_layers=1,
    )


def blip2() -> Any:
    vision = models.BLIP2VisionEncoder(
        image_size=16,
        patch_size=4,
        **LAYERS,
        **HEADS,
        use_patch_bias=True,
        use_class_token=True,
        use_mha_bias=True,
        use_mlp_bias=True,
        dropout_rate=0.0,
        layer_norm_epsilon=1e-6,
        initializer_range=0.02,
    )
    qformer = models.BLIP2QFormer(
        num_query_tokens=2,
        **LAYERS,
        **HEADS,
        vision_dim=16,
        cross_attention_frequency=2,
        dropout=0.0,
        layer_norm_epsilon=1e-6,
    )
    language = models.BLIP2CustomOPT(
        **WORDS,
        **LAYERS,
        **HEADS,
        num_query_tokens=2,
        qformer_hidden_dim=16,
        dropout=0.0,
        max_sequence_length=16,
    )
    return models.BLIP2Backbone(vision, qformer, language)


def parseq() -> Any:
    return models.PARSeqBackbone(
        image_encoder=vit(use_class_token=False),
        vocabulary_size=VOCABULARY,
        max_label_length=TOKENS,
        decoder_hidden_dim=16,
        num_decoder_layers=1,
        num_decoder_heads=2,
        decoder_mlp_dim=32,
    )


def t5gemma2_vision() -> Any:
    return models.T5Gemma2Backbone(
        **t5gemma_arguments(
            vision_encoder=models.Gemma3VisionEncoder(**ENCODER), eoi_token_index=31
        )
    )


_PLACE = {
    "vision_indices": constant([2, 3, 4, 5]),
    "vision_mask": constant([0, 0, 1, 1, 1, 1, 0, 0]),
}
_ONE_IMAGE = {**_PLACE, "images": floats((1, *SHAPE))}
_POSITIONS = {"position_ids": constant(np.arange(TOKENS))}
_PATCHES = {
    **_PLACE,
    **_POSITIONS,
    "pixel_values": floats((1, 16, 48)),
    "pixel_position_ids": constant([[[i % 4, i // 4] for i in range(16)]]),
}
_SOUND = {
    **_POSITIONS,
    "audio_mel": floats((1, 16, 8)),
    "audio_mel_mask": constant(np.ones((1, 16))),
    "audio_indices": constant([2, 3, 4, 5]),
    "audio_mask": constant([0, 0, 1, 1, 1, 1, 0, 0]),
}
MULTIMODAL: tuple[Foreign, ...] = (
    hub("clip", clip),
    hub("metaclip_2", metaclip_2),
    hub("siglip", siglip),
    hub("gemma3", lambda: gemma3(vision=False)),
    hub("gemma3_vision", lambda: gemma3(vision=True), draw=_ONE_IMAGE),
    hub(
        "gemma3n",
        gemma3n,
        length=16,
        draw={
            "images": floats((1, *SHAPE)),
            "input_features": floats((1, 16, 16)),
            "input_features_mask": constant(np.zeros((1, 16)), "bool"),
        },
    ),
    hub("gemma4", gemma4, draw=_POSITIONS),
    hub(
        "gemma4_experts",
        lambda: gemma4(
            enable_moe_block=True,
            num_experts=4,
            expert_intermediate_dim=8,
            num_experts_per_token=2,
        ),
        draw=_POSITIONS,
    ),
    hub("gemma4_vision", lambda: gemma4(vision=True), draw=_PATCHES),
    hub("gemma4_audio", lambda: gemma4(audio=True), draw=_SOUND),
    hub("pali_gemma", pali_gemma, draw={"response_mask": constant([0, 0, 0, 0, 1, 1, 1, 1])}),
    hub("blip2", blip2),
    hub("parseq", parseq),
    hub("t5gemma2_vision", t5gemma2_vision, draw=_ONE_IMAGE),
)
