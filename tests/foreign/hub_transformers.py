"""The vision transformers of keras-hub, its diffusion models, and their tasks."""

from __future__ import annotations

from typing import Any

import keras_hub
from keras_hub.src.models.stable_diffusion_3.mmdit import MMDiT
from keras_hub.src.models.vae.vae_backbone import VAEBackbone

from foreign.entry import NO_FLOAT64, VOCABULARY, Foreign, floats, integers
from foreign.hub_entry import classifier, hub

models = keras_hub.models

SHAPE = (32, 32, 3)


def vit(**kwargs: Any) -> Any:
    return models.ViTBackbone(
        **{
            "image_shape": SHAPE,
            "patch_size": 8,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": 16,
            "mlp_dim": 32,
            **kwargs,
        }
    )


def deit() -> Any:
    return models.DeiTBackbone(
        image_shape=SHAPE,
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
    )


def dinov2(**kwargs: Any) -> Any:
    return models.DINOV2Backbone(
        **{
            "patch_size": 8,
            "num_layers": 2,
            "hidden_dim": 16,
            "num_heads": 2,
            "intermediate_dim": 32,
            "image_shape": SHAPE,
            # Saving one of another size changes its weights: it resizes what it was resized from.
            "position_embedding_shape": SHAPE[:2],
            **kwargs,
        }
    )


def dinov3(**kwargs: Any) -> Any:
    return models.DINOV3Backbone(
        patch_size=8,
        num_layers=2,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=32,
        image_shape=SHAPE,
        **kwargs,
    )


def swin() -> Any:
    return models.SwinTransformerBackbone(
        image_shape=SHAPE, embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=2
    )


def mit(shape: Any = (64, 64, 3)) -> Any:
    return models.MiTBackbone(
        image_shape=shape,
        num_layers=4,
        hidden_dims=[8, 12, 16, 24],  # keras-hub names layers by them
        layerwise_depths=[1, 1, 1, 2],
        layerwise_num_heads=[1, 1, 2, 2],
        layerwise_sr_ratios=[8, 4, 2, 1],
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        max_drop_path_rate=0.1,
    )


def vit_det(size: int = 32, channels: int = 8) -> Any:
    return models.ViTDetBackbone(
        image_shape=(size, size, 3),
        patch_size=8,
        hidden_size=16,
        num_layers=2,
        global_attention_layer_indices=[1],
        intermediate_dim=32,
        num_heads=2,
        num_output_channels=channels,
        window_size=2,
    )


def video_prism(text: bool) -> Any:
    return models.VideoPrismBackbone(
        num_frames=2,
        patch_size=8,
        hidden_dim=16,
        intermediate_dim=32,
        num_heads=2,
        num_spatial_layers=1,
        num_temporal_layers=1,
        num_auxiliary_layers=1,
        vocabulary_size=VOCABULARY if text else 0,
        num_text_layers=1 if text else 0,
        attention_logit_soft_cap=50.0,
        image_shape=SHAPE,
    )


def vae(method: str) -> Any:
    return VAEBackbone(
        [32, 32, 32, 32], [1, 1, 1, 1], [32, 32, 32, 32], [1, 1, 1, 1], sampler_method=method
    )


def clip_text(**kwargs: Any) -> Any:
    return models.CLIPTextEncoder(
        **{
            "vocabulary_size": VOCABULARY,
            "embedding_dim": 16,
            "hidden_dim": 16,
            "num_layers": 2,
            "num_heads": 2,
            "intermediate_dim": 32,
            "max_sequence_length": 8,
            **kwargs,
        }
    )


def stable_diffusion(task: str = "") -> Any:
    backbone = models.StableDiffusion3Backbone(
        mmdit_patch_size=2,
        mmdit_hidden_dim=16,
        mmdit_num_layers=2,
        mmdit_num_heads=2,
        mmdit_position_size=16,
        mmdit_qk_norm="rms_norm",
        mmdit_dual_attention_indices=(0,),
        vae=vae("mode"),
        clip_l=clip_text(intermediate_output_index=-2, name="clip_l"),
        clip_g=clip_text(intermediate_output_index=-2, name="clip_g"),
        image_shape=SHAPE,
    )
    return getattr(models, f"StableDiffusion3{task}")(backbone, None) if task else backbone


def mmdit() -> Any:
    return MMDiT(
        patch_size=2,
        hidden_dim=16,
        num_layers=2,
        num_heads=2,
        position_size=16,
        latent_shape=(8, 8, 4),
        context_shape=(None, 16),
        pooled_projection_shape=(8,),
        qk_norm="rms_norm",
    )


def flux() -> Any:
    return models.FluxBackbone(
        input_channels=8,
        hidden_size=16,
        mlp_ratio=2.0,
        num_heads=2,
        depth=1,
        depth_single_blocks=1,
        axes_dim=[2, 2, 4],
        theta=10_000,
        use_bias=True,
        guidance_embed=True,
        image_shape=(4, 8),
        text_shape=(4, 8),
        image_ids_shape=(4, 3),
        text_ids_shape=(4, 3),
        y_shape=(8,),
    )


_STEPS = {
    "num_steps": integers(1, 4),
    "guidance_scale": floats((), 7.0),
    "images": floats(SHAPE),
}

TRANSFORMERS: tuple[Foreign, ...] = (
    hub("vit", vit),
    hub("vit_classifier", classifier("ViT", vit, intermediate_dim=16)),
    hub("deit", deit),
    hub("deit_classifier", classifier("DeiT", deit)),
    hub("dinov2", dinov2),
    hub("dinov2_registers", lambda: dinov2(num_register_tokens=2, use_swiglu_ffn=True)),
    hub("dinov3", dinov3),
    hub("dinov3_gated", lambda: dinov3(use_gated_mlp=True)),
    hub("swin_transformer", swin),
    hub("swin_transformer_classifier", classifier("SwinTransformer", swin)),
    hub("mit", mit),
    hub("mit_classifier", classifier("MiT", mit)),
    hub("vit_det", vit_det, reference=None, note=NO_FLOAT64),
    hub("video_prism", lambda: video_prism(text=False)),
    hub("video_prism_text", lambda: video_prism(text=True)),
    hub("vae", lambda: vae("mode"), size=32),
    hub("vae_sample", lambda: vae("sample"), size=32, random=True, reference=None),
    hub("mmdit", mmdit),
    hub("stable_diffusion_3", stable_diffusion, draw=_STEPS),
    hub(
        "stable_diffusion_3_text_to_image",
        lambda: stable_diffusion("TextToImage"),
        draw=_STEPS,
    ),
    hub(
        "stable_diffusion_3_image_to_image",
        lambda: stable_diffusion("ImageToImage"),
        draw=_STEPS,
    ),
    hub(
        "stable_diffusion_3_inpaint",
        lambda: stable_diffusion("Inpaint"),
        draw=_STEPS,
    ),
    hub("flux", flux),
    hub("flux_text_to_image", lambda: models.FluxTextToImage(flux(), None)),
)
