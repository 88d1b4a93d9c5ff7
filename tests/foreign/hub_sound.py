"""The models of keras-hub that take sound, and its quantizer of vectors."""

from __future__ import annotations

from typing import Any

import keras_hub
import numpy as np
from keras_hub.src.models.rqvae.rqvae_backbone import RQVAEBackbone

from foreign.entry import Foreign, floats, padding_mask
from foreign.hub_entry import hub
from foreign.hub_text import HEADS, LAYERS, WORDS

models = keras_hub.models


def whisper() -> Any:
    return models.WhisperBackbone(
        **WORDS,
        **LAYERS,
        **HEADS,
        num_mels=8,
        max_encoder_sequence_length=16,
        max_decoder_sequence_length=8,
    )


def moonshine(**kwargs: Any) -> Any:
    return models.MoonshineBackbone(
        **WORDS,
        filter_dim=16,
        encoder_num_layers=1,
        decoder_num_layers=1,
        hidden_dim=16,
        intermediate_dim=32,
        encoder_num_heads=2,
        decoder_num_heads=2,
        **kwargs,
    )


def rqvae() -> Any:
    return RQVAEBackbone(
        input_dim=8,
        encoder_layer_dims=[16, 8],
        output_dim=4,
        decoder_layer_dims=[8, 16],
        num_embeddings=8,
        num_quantizers=2,
    )


_WAVE = {
    "encoder_input_values": floats((2048, 1)),
    "encoder_padding_mask": lambda rng, samples: padding_mask(rng, np.empty((samples, 2048), bool)),
}

SOUND: tuple[Foreign, ...] = (
    hub("whisper", whisper, draw={"encoder_features": floats((16, 8))}),
    hub("moonshine", moonshine, draw=_WAVE),
    hub("moonshine_gated", lambda: moonshine(encoder_use_swiglu_activation=True), draw=_WAVE),
    hub("moonshine_audio_to_text", lambda: models.MoonshineAudioToText(moonshine()), draw=_WAVE),
    hub("rqvae", rqvae, directly="the first axis of one of its outputs is the quantizers"),
)
