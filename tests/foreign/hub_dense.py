"""What keras-hub answers with maps and boxes: segmentation, detection, depth."""

from __future__ import annotations

from typing import Any

import keras_hub

from foreign import hub_convolutional as convolutional
from foreign.entry import NO_FLOAT64, VOCABULARY, Foreign, constant, floats, integers
from foreign.hub_entry import hub
from foreign.hub_transformers import dinov2, mit, vit_det

models, layers = keras_hub.models, keras_hub.layers


def basnet() -> Any:
    encoder = convolutional.resnet("basic_block", convolutional.OPEN)
    return models.BASNetBackbone(encoder, num_classes=1, image_shape=(64, 64, 3))


def deeplab(
    inner: Any = convolutional.SHAPE, shape: Any = convolutional.SHAPE, key: str | None = "P2"
) -> Any:
    """``inner``: the shape that the image encoder is made for."""
    return models.DeepLabV3Backbone(
        image_encoder=convolutional.resnet(shape=inner),
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[2, 3, 4],
        low_level_feature_key=key,
        projection_filters=8,
        image_shape=shape,
    )


def segformer() -> Any:
    return models.SegFormerBackbone(image_encoder=mit(), projection_filters=16)


def retinanet(batch_norm: bool, shape: Any = (64, 64, 3)) -> Any:
    return models.RetinaNetBackbone(
        image_encoder=convolutional.resnet(shape=shape),
        min_level=3,
        max_level=6,
        use_p5=False,
        use_fpn_batch_norm=batch_norm,
        image_shape=shape,
    )


def d_fine(**kwargs: Any) -> Any:
    features = ["stage3", "stage4"]
    return models.DFineBackbone(
        backbone=convolutional.hgnetv2(affine=True, features=features),
        decoder_in_channels=[16, 16],
        encoder_hidden_dim=16,
        num_labels=5,
        num_denoising=0,
        learn_initial_query=False,
        num_queries=6,
        anchor_image_size=(64, 64),
        feat_strides=[16, 32],
        num_feature_levels=2,
        hidden_dim=16,
        encoder_in_channels=[24, 32],
        encode_proj_layers=[1],
        num_attention_heads=2,
        encoder_ffn_dim=32,
        num_encoder_layers=1,
        hidden_expansion=0.5,
        depth_multiplier=0.34,
        eval_idx=-1,
        num_decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        decoder_n_points=[2, 2],
        lqe_hidden_dim=8,
        num_lqe_layers=2,
        seed=0,
        image_shape=(64, 64, 3),
        out_features=features,
        **kwargs,
    )


def depth_anything() -> Any:
    return models.DepthAnythingBackbone(
        image_encoder=dinov2(
            num_layers=4,
            apply_layernorm=True,
            image_shape=(64, 64, 3),
            position_embedding_shape=(64, 64),
        ),
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_dims=[8, 8, 16, 16],
        fusion_hidden_dim=8,
        head_hidden_dim=8,
        head_in_index=-1,
        feature_keys=["stage1", "stage2", "stage3", "stage4"],
    )


def sam() -> Any:
    return models.SAMBackbone(
        image_encoder=vit_det(size=64, channels=8),
        prompt_encoder=layers.SAMPromptEncoder(
            hidden_size=8,
            image_embedding_size=(8, 8),
            input_image_size=(64, 64),
            mask_in_channels=8,
        ),
        mask_decoder=layers.SAMMaskDecoder(
            num_layers=2,
            hidden_size=8,
            intermediate_dim=16,
            num_heads=2,
            embedding_dim=8,
            num_multimask_outputs=3,
            iou_head_depth=2,
            iou_head_hidden_dim=8,
        ),
    )


def sam3() -> Any:
    sizes = {"hidden_dim": 16, "intermediate_dim": 32, "num_heads": 2}
    shape = (56, 56, 3)
    return models.SAM3PromptableConceptBackbone(
        vision_encoder=layers.SAM3VisionEncoder(
            image_shape=shape,
            patch_size=14,
            num_layers=2,
            fpn_hidden_dim=16,
            fpn_scale_factors=[4.0, 2.0, 1.0, 0.5],
            pretrain_image_shape=(28, 28, 3),
            window_size=2,
            global_attn_indexes=[1],
            **sizes,
        ),
        text_encoder=layers.SAM3TextEncoder(
            vocabulary_size=VOCABULARY, embedding_dim=16, num_layers=1, **sizes
        ),
        geometry_encoder=layers.SAM3GeometryEncoder(num_layers=1, roi_size=3, **sizes),
        detr_encoder=layers.SAM3DetrEncoder(num_layers=1, **sizes),
        detr_decoder=layers.SAM3DetrDecoder(
            image_shape=shape, patch_size=14, num_layers=1, num_queries=4, **sizes
        ),
        mask_decoder=layers.SAM3MaskDecoder(num_upsampling_stages=2, hidden_dim=16, num_heads=2),
    )


_SAM = {
    "points": floats((1, 2), 64.0),
    "labels": constant([1.0], "float32"),
    "boxes": floats((1, 2, 2), 64.0),
    "masks": floats((1, 32, 32, 1)),
}
# Its attention takes its mask of (samples, boxes + 1) for one of (boxes + 1, boxes + 1).
_SAM3: dict[str, Any] = {
    "samples": 2,
    "draw": {"boxes": floats((1, 5)), "box_labels": integers(0, 2, (1,))},
}

# Of 49 million parameters in 14 stages; its smallest maps are of 2 x 2.
_BASNET: dict[str, Any] = {
    "samples": 4,
    "reference": None,
    "rtol": 1e-3,
    "note": "rounding beyond 1e-4: its outputs are saturated sigmoids, many of them exactly 1",
}

DENSE: tuple[Foreign, ...] = (
    hub("basnet", basnet, **_BASNET),
    hub(
        "basnet_segmenter",
        lambda: models.BASNetImageSegmenter(basnet()),
        **_BASNET,
    ),
    hub("deeplab_v3", deeplab),
    hub("deeplab_v3_no_low_level", lambda: deeplab(key=None)),
    hub("deeplab_v3_open_encoder", lambda: deeplab(convolutional.OPEN)),
    hub("deeplab_v3_segmenter", lambda: models.DeepLabV3ImageSegmenter(deeplab(), num_classes=3)),
    hub(
        "deeplab_v3_segmenter_open_encoder",
        lambda: models.DeepLabV3ImageSegmenter(deeplab(convolutional.OPEN), num_classes=3),
    ),
    hub(
        "deeplab_v3_segmenter_open_size",
        lambda: models.DeepLabV3ImageSegmenter(
            deeplab(convolutional.OPEN, convolutional.OPEN), num_classes=3
        ),
        batchnorms=6,
        reason="the pyramid pooling resizes to a size that is open, which no layer can",
    ),
    hub("segformer", segformer),
    hub(
        "segformer_segmenter",
        lambda: models.SegFormerImageSegmenter(segformer(), num_classes=3),
    ),
    hub("retinanet", lambda: retinanet(batch_norm=False)),
    hub("retinanet_batch_norm", lambda: retinanet(batch_norm=True)),
    hub("retinanet_open_size", lambda: retinanet(True, (None, None, 3))),
    hub(
        "retinanet_detector",
        lambda: models.RetinaNetObjectDetector(
            retinanet(batch_norm=True),
            num_classes=3,
            bounding_box_format="xyxy",
            use_prediction_head_norm=True,
            pre_logits_num_conv_layers=2,
        ),
    ),
    hub("d_fine", d_fine),
    hub(
        "d_fine_detector",
        lambda: models.DFineObjectDetector(d_fine(), num_classes=5, bounding_box_format="yxyx"),
    ),
    hub("depth_anything", depth_anything),
    hub(
        "depth_anything_estimator",
        lambda: models.DepthAnythingDepthEstimator(depth_anything(), "metric", max_depth=10.0),
    ),
    hub(
        "sam",
        sam,
        draw=_SAM,
        directly="one of its outputs, the positions, is the same for all samples",
    ),
    hub(
        "sam_segmenter",
        lambda: models.SAMImageSegmenter(sam()),
        draw=_SAM,
        reference=None,
        note=NO_FLOAT64,
    ),
    hub("sam3", sam3, **_SAM3),
    hub(
        "sam3_segmenter",
        lambda: models.SAM3PromptableConceptImageSegmenter(sam3()),
        **_SAM3,
    ),
)
