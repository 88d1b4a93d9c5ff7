"""Tasks of keras-hub that hold a preprocessor: they take images of any size, or sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_hub
import numpy as np

from foreign.entry import Foreign
from foreign.hub_convolutional import SHAPE, cspnet, resnet
from foreign.hub_dense import deeplab
from foreign.hub_text import text

models, layers = keras_hub.models, keras_hub.layers

SENTENCES = ["the fox at the plane", "a quick fox", "the plane", "quick plane at a fox"]
WORDS = sorted({word for sentence in SENTENCES for word in sentence.split()})


def _images() -> Any:
    return np.random.default_rng(3).uniform(0, 255, (4, 80, 72, 3)).astype("float32")


def _sentences() -> Any:
    return SENTENCES


def _image_task(family: str, backbone: Callable[[], Any]) -> Callable[[], Any]:
    def build() -> Any:
        converter = getattr(layers, f"{family}ImageConverter")(image_size=SHAPE[:2], scale=1 / 255)
        preprocessor = getattr(models, f"{family}ImageClassifierPreprocessor")(converter)
        task = getattr(models, f"{family}ImageClassifier")
        return task(backbone=backbone(), num_classes=5, preprocessor=preprocessor)

    return build


def _segmenter() -> Any:
    converter = layers.DeepLabV3ImageConverter(image_size=SHAPE[:2], scale=1 / 255)
    preprocessor = models.DeepLabV3ImageSegmenterPreprocessor(converter)
    return models.DeepLabV3ImageSegmenter(deeplab(), num_classes=3, preprocessor=preprocessor)


def _bert() -> Any:
    tokenizer = models.BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
    preprocessor = models.BertTextClassifierPreprocessor(tokenizer, sequence_length=8)
    return models.BertTextClassifier(text("bert"), num_classes=3, preprocessor=preprocessor)


def _roberta() -> Any:
    letters = sorted({letter for word in WORDS for letter in word})
    tokens = ["<s>", "<pad>", "</s>", "<mask>", "Ġ", *letters, "at", "Ġat", "Ġa"]
    tokenizer = models.RobertaTokenizer(
        vocabulary={token: i for i, token in enumerate(tokens)},
        merges=["a t", "Ġ at", "Ġ a"],
    )
    preprocessor = models.RobertaTextClassifierPreprocessor(tokenizer, sequence_length=8)
    return models.RobertaTextClassifier(text("roberta"), num_classes=3, preprocessor=preprocessor)


def _hub(name: str, build: Callable[[], Any], raw: Callable[[], Any]) -> Foreign:
    return Foreign(f"{name}_with_preprocessor", "keras-hub", build, raw=raw)


WITH_PREPROCESSOR: tuple[Foreign, ...] = (
    _hub("resnet_classifier", _image_task("ResNet", resnet), _images),
    _hub("cspnet_classifier", _image_task("CSPNet", lambda: cspnet("dark_block", "csp")), _images),
    _hub("deeplab_v3_segmenter", _segmenter, _images),
    _hub("bert_classifier", _bert, _sentences),
    _hub("roberta_classifier", _roberta, _sentences),
)
