"""The convolutional backbones of keras-hub, and their image classifiers."""

from __future__ import annotations

from typing import Any

import keras_hub
from keras_hub.src.models.mobilenetv5.mobilenetv5_builder import convert_arch_def_to_stackwise

from foreign.entry import Foreign
from foreign.hub_entry import classifier, hub

models = keras_hub.models

SHAPE = (64, 64, 3)
OPEN = (None, None, 3)


def resnet(
    block: str = "bottleneck_block",
    shape: Any = SHAPE,
    pre_activation: bool = False,
    filters: tuple[int, ...] = (64, 8, 16, 16),
    strides: tuple[int, ...] = (1, 2, 2, 2),
) -> Any:
    """Four stages of two blocks: levels P2 to P5."""
    deep = block.endswith("vd")
    return models.ResNetBackbone(
        input_conv_filters=[8, 8, 64] if deep else [64],
        input_conv_kernel_sizes=[3, 3, 3] if deep else [7],
        stackwise_num_filters=list(filters),
        stackwise_num_blocks=[2] * len(filters),
        stackwise_num_strides=list(strides),
        block_type=block,
        use_pre_activation=pre_activation,
        image_shape=shape,
    )


def densenet(shape: Any = SHAPE) -> Any:
    return models.DenseNetBackbone(
        stackwise_num_repeats=[2, 2, 2], growth_rate=8, image_shape=shape
    )


def efficientnet(*blocks: str, squeeze: float = 0.25, **kwargs: Any) -> Any:
    stacks = len(blocks)
    return models.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * stacks,
        stackwise_depth_coefficients=[1.0] * stacks,
        stackwise_kernel_sizes=[3, 5, 3][:stacks],
        stackwise_num_repeats=[1, 2, 2][:stacks],
        stackwise_input_filters=[8, 8, 16][:stacks],
        stackwise_output_filters=[8, 16, 24][:stacks],
        stackwise_expansion_ratios=[1, 4, 4][:stacks],
        stackwise_squeeze_and_excite_ratios=[squeeze] * stacks,
        stackwise_strides=[1, 2, 2][:stacks],
        stackwise_block_types=list(blocks),
        stackwise_force_input_filters=[0] * stacks,
        stackwise_nores_option=[False] * stacks,
        input_shape=SHAPE,
        num_features=32,
        **kwargs,
    )


def mobilenet(shape: Any = SHAPE) -> Any:
    """MobileNetV3: with squeeze and excitation, hard swish and residuals."""
    return models.MobileNetBackbone(
        stackwise_expansion=[[16, 24], [32, 32]],
        stackwise_num_blocks=[2, 2],
        stackwise_num_filters=[[16, 16], [24, 24]],
        stackwise_kernel_size=[[3, 3], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25]],
        stackwise_activation=[["relu", "relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2]],
        output_num_filters=32,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        last_layer_filter=32,
        squeeze_and_excite=0.5,
        image_shape=shape,
    )


def mobilenetv5(**kwargs: Any) -> Any:
    blocks = [
        ["er_r1_k3_s2_e4_c16"],
        ["uir_r2_a3_k5_s2_e4_c24"],
        ["mqa_r1_k3_h2_s1_d8_c24", "uir_r1_a0_k0_s1_e2_c24"],
    ]
    return models.MobileNetV5Backbone(
        **{**convert_arch_def_to_stackwise(blocks), "use_msfa": False, **kwargs},
        image_shape=SHAPE,
    )


def cspnet(block: str, stage: str, shape: Any = SHAPE, **kwargs: Any) -> Any:
    return models.CSPNetBackbone(
        stem_filters=8,
        stem_kernel_size=3,
        stem_strides=2,
        stackwise_depth=[1, 2, 2],
        stackwise_strides=[2, 2, 2],
        stackwise_num_filters=[8, 16, 24],
        block_type=block,
        stage_type=stage,
        stem_padding="same",
        bottle_ratio=[0.5],
        # Half of the channels go through the blocks, and both halves must agree.
        block_ratio=[1.0 if stage == "dark" or "expand_ratio" in kwargs else 0.5],
        **{"expand_ratio": [1.0], **kwargs},
        image_shape=shape,
    )


def hgnetv2(affine: bool, shape: Any = SHAPE, features: list[str] | None = None) -> Any:
    return models.HGNetV2Backbone(
        depths=[1, 1, 1, 1],
        embedding_size=8,
        hidden_sizes=[16, 16, 24, 32],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=affine,
        stackwise_stage_filters=[
            [8, 8, 16, 1, 2, 3],
            [16, 8, 16, 1, 2, 3],
            [16, 8, 24, 2, 2, 5],
            [24, 8, 32, 1, 2, 5],
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
        image_shape=shape,
        out_features=features,
    )


def vgg() -> Any:
    return models.VGGBackbone([1, 2, 2], [8, 16, 16], image_shape=SHAPE)


def xception() -> Any:
    return models.XceptionBackbone([[8, 16], [24, 24], [32, 32]], [False, True, False], SHAPE)


CONVOLUTIONAL: tuple[Foreign, ...] = (
    hub("resnet", resnet),
    hub("resnet_open_size", lambda: resnet(shape=OPEN)),
    hub("resnet_basic", lambda: resnet("basic_block")),
    hub("resnet_v2", lambda: resnet(pre_activation=True)),
    hub("resnet_vd", lambda: resnet("bottleneck_block_vd")),
    hub("resnet_basic_vd", lambda: resnet("basic_block_vd")),
    hub("resnet_classifier", classifier("ResNet", resnet)),
    hub("resnet_v2_classifier", classifier("ResNet", lambda: resnet(pre_activation=True))),
    hub("densenet", densenet),
    hub("densenet_classifier", classifier("DenseNet", densenet)),
    hub("efficientnet", lambda: efficientnet("v1", "v1", "v1")),
    hub("efficientnet_v2", lambda: efficientnet("fused", "unfused", "unfused")),
    hub(
        "efficientnet_lite",
        lambda: efficientnet("v1", "v1", "v1", squeeze=0.0, activation="relu6"),
    ),
    hub(
        "efficientnet_classifier",
        classifier("EfficientNet", lambda: efficientnet("v1", "v1", "v1")),
    ),
    hub("mobilenet", mobilenet),
    hub("mobilenet_classifier", classifier("MobileNet", mobilenet, num_features=32)),
    hub("mobilenetv5", mobilenetv5),
    hub("mobilenetv5_batch_norm", lambda: mobilenetv5(norm_layer="batch_norm")),
    hub(
        "mobilenetv5_fusion",
        lambda: mobilenetv5(use_msfa=True, num_features=32, msfa_output_resolution=4),
    ),
    hub(
        "mobilenetv5_classifier",
        classifier("MobileNetV5", mobilenetv5, head_hidden_size=32),
    ),
    hub("cspnet_dark", lambda: cspnet("dark_block", "dark")),
    hub(
        "cspnet_csp",
        lambda: cspnet("dark_block", "csp", OPEN, down_growth=True, expand_ratio=[2.0]),
    ),
    hub("cspnet_cs3", lambda: cspnet("edge_block", "cs3")),
    hub("cspnet_bottleneck", lambda: cspnet("bottleneck_block", "csp", cross_linear=True)),
    hub("cspnet_classifier", classifier("CSPNet", lambda: cspnet("dark_block", "csp"))),
    hub("hgnetv2", lambda: hgnetv2(affine=False)),
    hub("hgnetv2_affine", lambda: hgnetv2(affine=True)),
    hub(
        "hgnetv2_classifier",
        classifier("HGNetV2", lambda: hgnetv2(affine=True), head_filters=32),
    ),
    hub("vgg", vgg),
    hub("vgg_classifier", classifier("VGG", vgg, pooling="flatten", pooling_hidden_dim=16)),
    hub("xception", xception),
    hub("xception_classifier", classifier("Xception", xception)),
)
