"""Every model of keras-hub that is tried: all its vision models, and most of its others."""

from __future__ import annotations

from foreign.entry import Foreign
from foreign.hub_convolutional import CONVOLUTIONAL
from foreign.hub_dense import DENSE
from foreign.hub_multimodal import MULTIMODAL
from foreign.hub_preprocessors import WITH_PREPROCESSOR
from foreign.hub_sound import SOUND
from foreign.hub_text import TEXT, TEXT_TASKS
from foreign.hub_transformers import TRANSFORMERS

KERAS_HUB: tuple[Foreign, ...] = (
    *CONVOLUTIONAL,
    *TRANSFORMERS,
    *DENSE,
    *TEXT,
    *TEXT_TASKS,
    *MULTIMODAL,
    *SOUND,
    *WITH_PREPROCESSOR,
)
