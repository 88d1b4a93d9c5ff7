"""``torch.export`` of a PyTorch module, of which the files of its formats are made."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kito.graph.torch_model import TorchModel


def export_program(model: TorchModel) -> Any:
    """A ``torch.export.ExportedProgram`` of the module, on the CPU, for batches of any size.

    Raises:
        Exception: whatever ``torch.export`` raises.
    """
    import torch

    module = copy.deepcopy(model.frozen).cpu()
    # Two samples: of one, the exporter would take the number for a constant.
    examples = [x.cpu() for x in model.tensors(list(model.examples.values()))]
    inputs = tuple(torch.cat([x, x])[:2] for x in examples)
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad(), quiet_export():
        return torch.export.export(module, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs))


@contextmanager
def quiet_export() -> Iterator[None]:
    """A scope without the warnings of PyTorch's exporters, which are of what they use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
