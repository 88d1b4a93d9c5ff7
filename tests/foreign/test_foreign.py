"""Models of other packages, small: reduced, compared, and the original untouched.

Each adds a row to the file that the environment variable KITO_FOREIGN_TABLE names; ``table.py``
makes docs/models.md of it.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kito
from kito.graph.keras_internals import all_layers
from kito.runtime.batch import Inputs
from kito.runtime.random_weights import randomize_weights

pytest.importorskip("keras_hub", reason="pip install 'pytest-kito[foreign]'")
pytest.importorskip("kimm", reason="pip install 'pytest-kito[foreign]'")

from foreign.application_models import APPLICATIONS
from foreign.entry import Foreign
from foreign.keras_hub_models import KERAS_HUB
from foreign.kimm_models import KIMM
from foreign.state import differences, outputs_of, state_of

pytestmark = [
    pytest.mark.slow,
    # What the packages do, whether they are reduced or not.
    pytest.mark.filterwarnings("ignore:.build... was called on layer:UserWarning"),
    pytest.mark.filterwarnings("ignore:Layer '.*' .* was passed an input with a mask:UserWarning"),
    pytest.mark.filterwarnings("ignore:.* doesn't have pretrained weights:UserWarning"),
    pytest.mark.filterwarnings("ignore:The 'rwkv_ops' package is not installed:UserWarning"),
    pytest.mark.filterwarnings("ignore:Using a non-tuple sequence for multi:UserWarning"),
]

# One or two of each kind. The others have the same layers in other networks, or take 10 s and more.
_BY_DAY = {
    *("resnet", "resnet_classifier", "resnet_v2", "densenet", "efficientnet", "efficientnet_v2"),
    *("mobilenet", "cspnet_csp", "cspnet_dark", "vgg", "xception", "vit", "dinov3"),
    *("retinanet", "deeplab_v3", "sam", "vae_sample", "flux", "mmdit", "clip", "video_prism"),
    *("bert", "bert_masked_lm", "bert_classifier", "albert", "deberta_v3", "f_net", "xlnet"),
    *("gpt2", "gpt2_causal_lm", "llama", "gemma3", "mixtral", "bart", "whisper", "rqvae"),
}


def _at_night(model: Foreign) -> bool:
    return model not in KERAS_HUB or model.name not in _BY_DAY


MODELS = (*KERAS_HUB, *KIMM, *APPLICATIONS)
TABLE = "KITO_FOREIGN_TABLE"


def _marks(model: Foreign) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.nightly] if _at_night(model) else []
    # On PyTorch, the one returns NaN whatever its weights, and Keras refuses to build the other.
    if model.name.startswith(("stable_diffusion_3", "NASNet")):
        marks.append(pytest.mark.backends("tensorflow", "jax"))
    return marks


@pytest.fixture(autouse=True)
def released_models() -> Iterator[None]:
    """The models of one test are gone (Keras' cycles of references too) before the next begins."""
    yield
    keras.backend.clear_session()
    gc.collect()


def test_each_model_has_a_name_of_its_own() -> None:
    assert len({model.id for model in MODELS}) == len(MODELS)
    assert {model.name for model in KERAS_HUB} >= _BY_DAY


@pytest.mark.parametrize("foreign", [pytest.param(x, id=x.id, marks=_marks(x)) for x in MODELS])
def test_reduces(foreign: Foreign, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = foreign.build()
    inputs = foreign.inputs(model)
    outputs_of(model, inputs)  # some layers are whole only after their first call
    randomize_weights(model, inputs, seed=2)
    before = state_of(model, inputs, tmp_path, random=foreign.random)
    assert foreign.unsaved in before.file.get("error", b"").decode()
    assert bool(foreign.unsaved) == ("error" in before.file)
    reduction = None
    if foreign.refused:
        _write_row(foreign, None, {})
        with pytest.raises(kito.UnsupportedModelError) as caught:
            kito.reduce(model)
        assert foreign.refused in str(caught.value)
    else:
        reduction = kito.reduce(model)
        check_reduction(foreign, reduction, inputs)
    names = [] if reduction is None else [x.layer for x in reduction.shared]
    shared = {id(y) for x in all_layers(model) if x.name in names for y in (x, *all_layers(x))}
    after = state_of(model, inputs, tmp_path, random=foreign.random)
    assert differences(before, after, shared) == []
    if foreign.raw is not None and reduction is not None:
        check_predict(model, reduction.model, foreign.raw())


def check_reduction(foreign: Foreign, reduction: Any, inputs: Inputs) -> None:
    """Write its row, then say what is wrong with it."""
    original, reduced = reduction.original, reduction.model
    if foreign.directly:
        difference = largest_difference(original, reduced, inputs)
        passed, within_rounding, message = difference <= 1e-4, False, f"differs by {difference}"
    else:
        comparison = kito.compare(
            original, reduced, inputs, rtol=foreign.rtol, reference=foreign.reference
        )
        difference = max(x.max_abs / (x.scale or 1.0) for x in comparison.outputs.values())
        passed, within_rounding = comparison.passed, comparison.within_rounding
        message = comparison.message()
    verdict = {"difference": difference, "passed": passed, "within_rounding": within_rounding}
    _write_row(foreign, reduction, verdict)
    assert reduction.batchnorms[1] == foreign.batchnorms, reduction.summary()
    assert passed, message


def largest_difference(original: Any, reduced: Any, inputs: Inputs) -> float:
    """Of any output of one call, relative to its scale; one of them depends on the sample."""
    expected, actual = outputs_of(original, inputs), outputs_of(reduced, inputs)
    assert any(np.ptp(x, axis=0).max() > 0.01 * np.abs(x).max() for x in expected)
    pairs = zip(actual, expected, strict=True)
    return max(float(np.abs(a - b).max() / (np.abs(b).max() or 1.0)) for a, b in pairs)


def check_predict(task: Any, reduced: Any, raw: Any) -> None:
    """A task preprocesses what ``predict`` takes; its reduced model takes what comes of that."""
    expected = task.predict(raw, verbose=0)
    actual = reduced.predict(task.preprocessor(raw), verbose=0)
    np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected, axis=0).max() > 0.01 * np.abs(expected).max()


def _write_row(foreign: Foreign, reduction: Any, verdict: dict[str, Any]) -> None:
    """Add a line of JSON to the file of the table, where one is named."""
    path = os.environ.get(TABLE)
    if not path:
        return
    row: dict[str, Any] = {
        "order": MODELS.index(foreign),
        "name": foreign.name,
        "package": foreign.package,
        "note": foreign.note,
        "refused": foreign.refused,
        "directly": foreign.directly,
        "reason": foreign.reason,
        **verdict,
    }
    if reduction is not None:
        row |= {
            "layers": reduction.layers,
            "batchnorms": reduction.batchnorms,
            "opened": len(reduction.opened),
            "shared": len(reduction.shared),
        }
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
