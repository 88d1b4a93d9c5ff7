"""An entry for a model of keras-hub, and the classifier around a backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_hub import models

from foreign.entry import Foreign


def hub(name: str, build: Callable[[], Any], **kwargs: Any) -> Foreign:
    """The model that ``build`` makes; ``kwargs`` are other attributes of the entry."""
    return Foreign(name, "keras-hub", build, **kwargs)


def classifier(name: str, backbone: Callable[[], Any], **kwargs: Any) -> Callable[[], Any]:
    """A function that builds the image classifier of a family, without a preprocessor."""

    def build() -> Any:
        task = getattr(models, f"{name}ImageClassifier")
        return task(backbone=backbone(), num_classes=5, preprocessor=None, **kwargs)

    return build
