"""The networks that are measured, by name, with random weights.

Names are those of three families:

- :data:`KITO`: the rows of KITO's own table, from ``tests/zoo/networks.py``, such as
  ``mobilenet_v2``, at the image size of that table;
- ``retinanet_resnet50``, which needs keras-hub;
- the classes of ``keras.applications``, such as ``MobileNetV2``, at their default image size;
- ``RepVGG``: a network of parallel convolutions, as in Ding et al. 2021 (arXiv:2101.03697);
- ``RegNetX002``: a network of grouped convolutions, from :mod:`benchmarks.regnet`.
"""

from __future__ import annotations

from typing import Any

KITO = (
    "mobilenet",
    "mobilenet_v2",
    "resnet50",
    "inception_v3",
    "inception_resnet_v2",
    "xception",
    "densenet121",
    "densenet169",
    "densenet201",
    "nasnet_mobile",
    "nasnet_large",
    "zf_unet_224",
    "deeplab_mobile",
    "deeplab_xception",
    "resnet152",
)
"""``tests/zoo/networks.py`` builds them; here are only the names, which need no Keras."""
TIMED = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "ResNet50",
    "ResNet50V2",
    "InceptionV3",
    "InceptionResNetV2",
    "DenseNet121",
    "Xception",
    "NASNetMobile",
    "ConvNeXtTiny",
    "zf_unet_224",
)
"""Those whose speed is measured in TensorFlow; in other engines, with a few more."""
RETINANET = "retinanet_resnet50"
REPVGG, REGNET = "RepVGG", "RegNetX002"


def build(network: str, size: int | None = None) -> Any:
    """A network with fresh weights: no pretrained ones are downloaded.

    Args:
        network: its name.
        size: side of the images in pixels; None for the network's usual one.

    Raises:
        KeyError: there is no network of that name.
        ModuleNotFoundError: the network needs a package that is not installed.
    """
    import keras

    from benchmarks import regnet

    if network in KITO:
        from zoo.networks import NETWORKS

        row = {x.name: x for x in NETWORKS}[network]
        return row.build(size or row.size)
    if network == RETINANET:
        return _retinanet(size or 512)
    if network == REPVGG:
        return _repvgg(size or 224)
    if network == REGNET:
        return regnet.build(size or 224)
    factory = getattr(keras.applications, network, None)
    if factory is None:
        raise KeyError(f"there is no network {network}")
    if size is None and network.startswith("MobileNetV3"):
        size = 224  # they leave the size open
    return factory(weights=None, **({"input_shape": (size, size, 3)} if size else {}))


def build_random(network: str, size: int | None = None) -> Any:
    """As :func:`build`, with calibrated random weights that keep signals near 1."""
    from kito.runtime.random_weights import randomize_weights

    model = build(network, size)
    randomize_weights(model, images(model, 4, seed=1), seed=2)
    return model


def images(model: Any, count: int, seed: int = 3) -> dict[str, Any]:
    """Random images by input name, shape (count, height, width, 3), values in [0, 255)."""
    from kito.runtime.random_inputs import random_inputs

    return random_inputs(model, samples=count, seed=seed, high=255.0)


def without_normalizations(model: Any) -> Any:
    """The same network with every BatchNormalization deleted: it computes something else."""
    import keras

    from kito.graph.build import build_model
    from kito.graph.read import read_graph

    graph = read_graph(model)
    for inner in graph.graphs():
        for node in list(inner.nodes):
            if isinstance(node.op.layer, keras.layers.BatchNormalization):
                inner.bypass(node)
    return build_model(graph)[0]


def _retinanet(size: int) -> Any:
    """RetinaNet on ResNet-50, 80 classes, as in Lin et al. 2017 (arXiv:1708.02002)."""
    import keras_hub

    shape = (size, size, 3)
    resnet = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[3, 4, 6, 3],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        image_shape=shape,
    )
    backbone = keras_hub.models.RetinaNetBackbone(
        image_encoder=resnet,
        min_level=3,
        max_level=7,
        use_p5=False,
        use_fpn_batch_norm=False,
        image_shape=shape,
    )
    return keras_hub.models.RetinaNetObjectDetector(
        backbone,
        num_classes=80,
        bounding_box_format="xyxy",
    )


def _repvgg(size: int) -> Any:
    """RepVGG-A0 as it is trained: 3 x 3, 1 x 1 and identity side by side, each normalized."""
    import keras

    L = keras.layers  # noqa: N806

    def block(x: Any, filters: int, stride: int) -> Any:
        branches = [
            L.BatchNormalization()(
                L.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(x)
            )
            for kernel in (3, 1)
        ]
        if stride == 1 and x.shape[-1] == filters:
            branches.append(L.BatchNormalization()(x))
        return L.ReLU()(L.Add()(branches))

    image = keras.Input((size, size, 3))
    x = block(L.Rescaling(1 / 255)(image), 48, 2)
    for filters, depth in ((48, 2), (96, 4), (192, 14), (1280, 1)):
        for index in range(depth):
            x = block(x, filters, 2 if index == 0 else 1)
    x = L.Dense(1000)(L.GlobalAveragePooling2D()(x))
    return keras.Model(image, L.Activation("softmax")(x), name="repvgg_a0")
