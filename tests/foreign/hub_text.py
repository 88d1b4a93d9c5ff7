"""The text backbones of keras-hub, and some of their tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_hub
from keras_hub.src.models.qwen3_5.qwen3_5_backbone import Qwen3_5Backbone
from keras_hub.src.models.qwen3_5_moe.qwen3_5_moe_backbone import Qwen3_5MoeBackbone

from foreign.entry import VOCABULARY, Foreign
from foreign.hub_entry import hub

models = keras_hub.models

WORDS = {"vocabulary_size": VOCABULARY}
LAYERS = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 32}
HEADS = {"num_heads": 2}
GROUPED = {"num_query_heads": 4, "num_key_value_heads": 2}
SHORT = {"max_sequence_length": 16}
EXPERTS = {"num_experts": 4, "top_k": 2}
DECODER = {**WORDS, **LAYERS, **GROUPED}
ENCODER = {**WORDS, **LAYERS, **HEADS}
LINEAR_ATTENTION = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 4,
    "linear_value_head_dim": 4,
    "head_dim": 8,
}


def t5gemma_arguments(**kwargs: Any) -> dict[str, Any]:
    sides = {
        f"{side}_{key}": value
        for side in ("encoder", "decoder")
        for key, value in {
            "hidden_dim": 16,
            "intermediate_dim": 32,
            "num_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "layer_types": ["sliding_attention", "full_attention"],
        }.items()
    }
    return {**WORDS, **sides, "sliding_window": 4, "cross_attention_hidden_size": 16, **kwargs}


CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": ("AlbertBackbone", {**ENCODER, "embedding_dim": 8, **SHORT}),
    "bart": ("BartBackbone", {**ENCODER, **SHORT}),
    "bert": ("BertBackbone", {**ENCODER, **SHORT}),
    "bloom": ("BloomBackbone", ENCODER),
    "deberta_v3": ("DebertaV3Backbone", {**ENCODER, **SHORT, "bucket_size": 4}),
    "distil_bert": ("DistilBertBackbone", {**ENCODER, **SHORT}),
    "edrec": (
        "EdRecBackbone",
        {
            "vocab_size": VOCABULARY,
            "num_layers_enc": 2,
            "num_layers_dec": 2,
            "hidden_dim": 16,
            "intermediate_dim": 32,
            **HEADS,
        },
    ),
    "electra": (
        "ElectraBackbone",
        {"vocab_size": VOCABULARY, **LAYERS, **HEADS, "embedding_dim": 8, **SHORT},
    ),
    "esm": ("ESMBackbone", {**ENCODER, **SHORT}),
    "esm_absolute": (
        "ESMBackbone",
        {**ENCODER, **SHORT, "position_embedding_type": "absolute", "use_pre_layer_norm": True},
    ),
    "f_net": ("FNetBackbone", {**WORDS, **LAYERS, **SHORT}),
    "falcon": ("FalconBackbone", {**WORDS, **LAYERS, "num_attention_heads": 2}),
    "gemma": ("GemmaBackbone", {**DECODER, "head_dim": 8}),
    "gemma2": (
        "GemmaBackbone",
        {
            **DECODER,
            "head_dim": 8,
            "use_post_ffw_norm": True,
            "use_post_attention_norm": True,
            "attention_logit_soft_cap": 50.0,
            "final_logit_soft_cap": 30.0,
            "use_sliding_window_attention": True,
            "sliding_window_size": 4,
        },
    ),
    "gpt2": ("GPT2Backbone", {**ENCODER, **SHORT}),
    "gpt_neo_x": ("GPTNeoXBackbone", {**ENCODER, **SHORT}),
    "gpt_oss": ("GptOssBackbone", {**DECODER, **EXPERTS, "sliding_window": 4, "head_dim": 8}),
    "llama": ("LlamaBackbone", DECODER),
    "llama_tied": ("LlamaBackbone", {**DECODER, "tie_word_embeddings": True}),
    "llama3": (
        "Llama3Backbone",
        {
            **DECODER,
            "rope_frequency_adjustment_factor": 8.0,
            "rope_low_freq_factor": 1.0,
            "rope_high_freq_factor": 4.0,
            "rope_pretraining_sequence_length": 16,
        },
    ),
    "mistral": ("MistralBackbone", {**DECODER, "sliding_window": 4}),
    "mixtral": ("MixtralBackbone", {**DECODER, **EXPERTS, "sliding_window": 4}),
    "opt": ("OPTBackbone", {**ENCODER, **SHORT}),
    "phi3": ("Phi3Backbone", DECODER),
    "qwen": ("QwenBackbone", DECODER),
    "qwen3": ("Qwen3Backbone", {**DECODER, "head_dim": 8}),
    "qwen_moe": (
        "QwenMoeBackbone",
        {
            **DECODER,
            **EXPERTS,
            "moe_intermediate_dim": 16,
            "shared_expert_intermediate_dim": 16,
        },
    ),
    "qwen3_moe": (
        "Qwen3MoeBackbone",
        {**DECODER, **EXPERTS, "moe_intermediate_dim": 16, "head_dim": 8},
    ),
    "roberta": ("RobertaBackbone", {**ENCODER, **SHORT}),
    "roformer_v2": ("RoformerV2Backbone", {**ENCODER, "head_size": 8}),
    "smollm3": (
        "SmolLM3Backbone",
        {
            **WORDS,
            **LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "rope_layer_enabled_list": [True, False],
            "layer_types": ["full_attention", "full_attention"],
            "mlp_bias": False,
            "layer_norm_epsilon": 1e-5,
            "max_position_embeddings": 16,
            "rope_theta": 10000.0,
            "partial_rotary_factor": 1.0,
        },
    ),
    "t5": ("T5Backbone", ENCODER),
    "t5_relu": ("T5Backbone", {**ENCODER, "use_gated_activation": False}),
    "t5gemma": ("T5GemmaBackbone", t5gemma_arguments()),
    "t5gemma2": ("T5Gemma2Backbone", t5gemma_arguments()),
    "xlm_roberta": ("XLMRobertaBackbone", {**ENCODER, **SHORT}),
    "xlnet": ("XLNetBackbone", ENCODER),
}
"""By name: a class of keras_hub.models, and its arguments."""


def text(name: str) -> Any:
    kind, arguments = CONFIGS[name]
    return getattr(models, kind)(**arguments)


def rwkv7() -> Any:
    loras = dict.fromkeys(("gate_lora", "mv_lora", "aaa_lora", "decay_lora"), 8)
    return models.RWKV7Backbone(
        hidden_size=16, head_size=8, num_layers=2, intermediate_dim=32, **WORDS, **loras
    )


def qwen3_5() -> Any:
    return Qwen3_5Backbone(**DECODER, **LINEAR_ATTENTION)


def qwen3_5_moe() -> Any:
    arguments = {key: value for key, value in DECODER.items() if key != "intermediate_dim"}
    return Qwen3_5MoeBackbone(
        **arguments,
        **LINEAR_ATTENTION,
        **EXPERTS,
        moe_intermediate_dim=16,
        shared_expert_intermediate_size=16,
    )


def _task(kind: str, name: str, **kwargs: Any) -> Callable[[], Any]:
    return lambda: getattr(models, kind)(backbone=text(name), preprocessor=None, **kwargs)


def _backbone(name: str) -> Foreign:
    return hub(name, lambda: text(name))


TEXT: tuple[Foreign, ...] = (
    *(_backbone(name) for name in CONFIGS),
    hub("rwkv7", rwkv7, length=16),
    hub("qwen3_5", qwen3_5),
    hub("qwen3_5_moe", qwen3_5_moe),
)

TEXT_TASKS: tuple[Foreign, ...] = (
    *(
        hub(f"{name}_classifier", _task(kind, name, num_classes=3))
        for kind, name in (
            ("AlbertTextClassifier", "albert"),
            ("BertTextClassifier", "bert"),
            ("DebertaV3TextClassifier", "deberta_v3"),
            ("DistilBertTextClassifier", "distil_bert"),
            ("ESMProteinClassifier", "esm"),
            ("FNetTextClassifier", "f_net"),
            ("RobertaTextClassifier", "roberta"),
            ("RoformerV2TextClassifier", "roformer_v2"),
            ("XLMRobertaTextClassifier", "xlm_roberta"),
        )
    ),
    *(
        hub(f"{name}_masked_lm", _task(kind, name))
        for kind, name in (("BertMaskedLM", "bert"), ("RobertaMaskedLM", "roberta"))
    ),
    *(
        hub(f"{name}_causal_lm", _task(kind, name))
        for kind, name in (
            ("GPT2CausalLM", "gpt2"),
            ("LlamaCausalLM", "llama"),
            ("GemmaCausalLM", "gemma2"),
            ("QwenCausalLM", "qwen"),
            ("Qwen3CausalLM", "qwen3"),
            ("MistralCausalLM", "mistral"),
            ("OPTCausalLM", "opt"),
        )
    ),
    hub("bart_seq_2_seq_lm", _task("BartSeq2SeqLM", "bart")),
    hub("t5_seq_2_seq_lm", _task("T5Seq2SeqLM", "t5")),
    hub("bert_embedder", _task("BertTextEmbedder", "bert")),
)
