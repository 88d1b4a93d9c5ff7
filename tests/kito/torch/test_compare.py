"""``kito.compare`` and ``kito.measure_speedup`` of PyTorch modules."""

from __future__ import annotations

import copy
import platform
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch_modules import random_inputs, randomized

import kito
from kito.errors import KitoError, UnsupportedModelError
from kito.graph.torch_model import TorchModel, is_torch_module
from kito.runtime.devices import compiled_call, detect
from kito.runtime.torch_pair import named_arrays, wrap_module


def net() -> nn.Sequential:
    return randomized(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 4, 3),
            nn.BatchNorm2d(4),
        )
    )


class Two(nn.Module):
    """Takes an image and a vector, and returns a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.dense = nn.Linear(5, 4)

    def forward(self, image: Any, vector: Any = None) -> dict[str, Any]:
        x = self.norm(self.conv(image))
        pooled = x.mean((2, 3))
        if vector is not None:
            pooled = pooled + self.dense(vector)
        return {"map": x, "scores": pooled, "nothing": None}


class TestCompare:
    def test_a_reduced_module_passes_and_a_wrong_one_does_not(self) -> None:
        module, (x,) = net(), random_inputs((8, 3, 16, 16))
        reduced = kito.reduce_torch_module(module, x)
        right = kito.compare(module, reduced, x, rtol=1e-5)
        assert right.passed
        assert right.samples == 8
        assert right.outputs["output"].max_abs > 0
        with torch.no_grad():
            reduced.get_submodule("3").weight.mul_(1.001)
        wrong = kito.compare(module, reduced, x)
        assert not wrong.passed
        assert "against the original in float64" in wrong.reason

    def test_images_are_made_where_none_are_given(self) -> None:
        module = net()
        result = kito.compare(module, kito.reduce_torch_module(module), samples=4)
        assert result.passed
        assert result.samples == 4

    def test_float64_is_the_truth_for_both(self) -> None:
        module, (x,) = net(), random_inputs((4, 3, 16, 16))
        reduced = kito.reduce_torch_module(module, x)
        result = kito.compare(module, reduced, x, reference="float64")
        assert result.error_vs_float64 is not None
        own, other = result.error_vs_float64
        assert 0 < own < 1e-6
        assert 0 < other < 1e-6
        module = module.double()
        wide = kito.reduce_torch_module(module, x.double())
        assert kito.compare(module, wide, x.double(), rtol=1e-12).passed

    def test_neither_module_is_changed(self) -> None:
        module, (x,) = net().train(), random_inputs((4, 3, 16, 16))
        reduced = kito.reduce_torch_module(module, x)
        before = copy.deepcopy(module.state_dict())
        assert kito.compare(module, reduced, x).passed  # in inference, both
        assert module.training
        assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())

    def test_half_precision_has_the_tolerance_of_half_precision(self) -> None:
        module, (x,) = net().bfloat16(), random_inputs((4, 3, 16, 16))
        x *= torch.tensor([1.0, 20.0, -100.0, 100.0]).reshape(4, 1, 1, 1)  # so that outputs vary
        reduced = kito.reduce_torch_module(module, x.bfloat16())
        result = kito.compare(module, reduced, x)
        assert result.outputs["output"].rtol == 1e-2
        assert result.passed

    def test_structures_are_compared_output_by_output(self) -> None:
        module = randomized(Two())
        image, vector = random_inputs((4, 3, 8, 8), (4, 5))
        reduced = kito.reduce_torch_module(module, (image, vector))
        for inputs in (
            (image, vector),
            [image.numpy(), vector.numpy()],
            {"vector": vector, "image": image},
            lambda: (image, vector),
        ):
            result = kito.compare(module, reduced, inputs)
            assert result.passed
            assert len(result.outputs) == 2
        assert kito.compare(module, kito.reduce_torch_module(module, image), image).passed

    def test_an_npz_file_holds_inputs_by_name(self, tmp_path: Path) -> None:
        module = randomized(Two())
        image, vector = random_inputs((4, 3, 8, 8), (4, 5))
        path = tmp_path / "inputs.npz"
        np.savez(path, vector=vector.numpy(), image=image.numpy())
        reduced = kito.reduce_torch_module(module, (image, vector))
        assert kito.compare(module, reduced, path).passed

    def test_a_module_without_weights_computes_in_what_it_is_given(self) -> None:
        class Twice(nn.Module):
            def forward(self, x: Any) -> Any:
                return {"double": 2 * x, "place": x.argmax(-1)}

        (x,) = random_inputs((6, 5))
        result = kito.compare(Twice(), Twice(), x, reference="float64")
        assert result.passed
        assert result.error_vs_float64 == (0.0, 0.0)

    def test_integers_stay_integers(self) -> None:
        module = nn.Sequential(nn.Embedding(20, 6), nn.Flatten(), nn.Linear(18, 3)).eval()
        tokens = torch.arange(12).reshape(4, 3)
        assert kito.compare(module, copy.deepcopy(module), tokens, rtol=0.0).passed


class TestRefused:
    def test_a_module_and_a_keras_model(self) -> None:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        with pytest.raises(KitoError, match="compared with modules only; got one and a Sequential"):
            kito.compare(net(), model)

    @pytest.mark.parametrize(
        "inputs, message",
        [
            ({"image": np.ones((2, 3, 8, 8)), "mask": np.ones(2)}, "was given the inputs"),
            ([np.ones((2, 3, 8, 8))] * 3, "was given 3 inputs, its forward takes 2: image, vector"),
            (np.array(["a", "b"]), "give numbers, samples first"),
            (np.float32(3), "give numbers, samples first"),
            (np.ones((2, 4, 8, 8), "float32"), "module 'Two' fails on inputs of shapes"),
        ],
    )
    def test_inputs_that_do_not_fit(self, inputs: Any, message: str) -> None:
        with pytest.raises(KitoError, match=message):
            kito.compare(Two(), Two(), inputs)

    def test_inputs_that_cannot_be_guessed(self) -> None:
        with pytest.raises(KitoError, match="cannot guess what Linear takes"):
            kito.compare(nn.Linear(3, 2), nn.Linear(3, 2))

    def test_what_is_no_tensor_cannot_be_compared(self) -> None:
        class Text(nn.Module):
            def forward(self, x: Any) -> str:
                return "text"

        with pytest.raises(KitoError, match="returns an object of type str: only tensors"):
            kito.compare(Text(), Text(), np.ones((2, 3)))

    def test_a_function_that_raises(self) -> None:
        def inputs() -> Any:
            raise ValueError("no data")

        with pytest.raises(KitoError, match="makes the inputs raised ValueError: no data"):
            kito.compare(net(), net(), inputs)

    def test_a_module_without_values(self) -> None:
        with pytest.raises(UnsupportedModelError, match="has no shape yet"):
            wrap_module(nn.LazyLinear(3), {"input": np.ones((2, 3))})


class TestModel:
    def test_it_is_a_keras_model_of_one_layer_on_any_batch(self) -> None:
        module = randomized(Two())
        image, vector = (x.numpy() for x in random_inputs((4, 3, 8, 8), (4, 5)))
        model = wrap_module(module, named_arrays(module, [image, vector]))
        assert isinstance(model, TorchModel)
        assert [x.shape for x in model.inputs] == [(None, 3, 8, 8), (None, 5)]
        outputs = model([image[:1], vector[:1]])
        assert sorted(outputs) == ["map", "scores"]
        with torch.no_grad():
            right = module(torch.from_numpy(image[:1]), torch.from_numpy(vector[:1]))
        for name in outputs:
            values = keras.ops.convert_to_numpy(outputs[name])
            np.testing.assert_array_equal(values, right[name].numpy())
        assert model.module is module
        assert model.weights == []

    def test_a_layer_of_keras_is_no_module(self) -> None:
        assert not is_torch_module(keras.layers.Dense(3))
        assert is_torch_module(nn.Linear(3, 2))
        assert not is_torch_module(3)


class TestSpeedup:
    def test_modules_are_timed_in_inference(self) -> None:
        module, (x,) = net().train(), random_inputs((4, 3, 32, 32))
        seen = []

        class Watched(nn.Module):
            def __init__(self, inner: nn.Module) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, x: Any) -> Any:
                seen.append((x.shape[0], torch.is_inference_mode_enabled(), self.training))
                return self.inner(x)

        reduced = kito.reduce_torch_module(module, x)
        estimate = kito.measure_speedup(Watched(module), reduced, x, batch_size=6, budget_s=1)
        assert estimate.ratio > 0
        assert estimate.pairs >= 3
        assert estimate.predict_ms is None
        assert estimate.transfer_ms is not None
        assert not estimate.jit
        assert estimate.threads == torch.get_num_threads()
        assert seen[-1] == (6, True, False)

    @pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what glibc does by default")
    def test_calls_keep_the_memory_of_the_call_before(self) -> None:
        import resource  # not on Windows

        def faults() -> int:
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

        # Blocks of 64 MB and less; each new page of 4 KB is a fault.
        module = nn.Sequential(nn.Conv2d(3, 32, 1), nn.ReLU(), nn.Conv2d(32, 16, 1))
        batch = {"input": np.zeros((2, 3, 512, 512), np.float32)}
        call = compiled_call(wrap_module(module, batch), batch, detect("cpu", "torch"), False)
        made = []
        for _ in range(6):  # until every block has found its place
            before = faults()
            call()
            made.append(faults() - before)
        assert min(made) < 1000

    def test_a_compiler_that_fails_is_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("no compiler")

        monkeypatch.setattr(torch, "compile", fail)
        module = net()
        with pytest.raises(
            KitoError, match=r"torch\.compile fails on module .*no compiler; set jit"
        ):
            kito.measure_speedup(module, module, jit="on", budget_s=1)
