"""Functions of one tensor: pooling, padding, rectifiers, and what moves elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers
from torch import fx

from kito.graph.torch import modules
from kito.graph.torch.call import Call, Describe, check_only
from kito.graph.torch.describe import Described, NotDescribed
from kito.graph.torch.op import Largest, Mean, Rectifier, Unchanged


def relu(call: Call) -> Described:
    """``relu(x)``, in place or not."""
    check_only(call, call.bind(["input", "inplace"])["input"])
    return Described(Rectifier(call.dtype))


def leaky_relu(call: Call) -> Described:
    """``leaky_relu(x)`` with any constant slope."""
    given = call.bind(["input", "negative_slope", "inplace"])
    if isinstance(given.get("negative_slope", 0.0), fx.Node):
        raise NotDescribed("")
    check_only(call, given["input"])
    return Described(Rectifier(call.dtype))


def dropout(call: Call) -> Described:
    """A dropout, which does nothing unless it is called with ``training=True``."""
    return _only_in_training(call, ["input", "p", "training", "inplace"])


def _only_in_training(call: Call, names: Sequence[str]) -> Described:
    given = call.bind(names, training=True)
    check_only(call, given["input"])
    if given["training"] is not False:
        raise NotDescribed("it is called with training=True")
    return modules.identity(call.dtype)


def is_stochastic_depth(target: Any) -> bool:
    """Whether a function is torchvision's ``stochastic_depth``, which is one call in a trace."""
    where = getattr(target, "__module__", ""), getattr(target, "__name__", "")
    return where == ("torchvision.ops.stochastic_depth", "stochastic_depth")


def stochastic_depth(call: Call) -> Described:
    """It does nothing unless it is called with ``training=True``."""
    return _only_in_training(call, ["input", "p", "mode", "training"])


def contiguous(call: Call) -> Described:
    """The same tensor, perhaps in another order of memory."""
    if len(call.args) != 1 or call.kwargs:
        raise NotDescribed("")
    return Described(Unchanged(call.dtype))


def _spatial(call: Call, names: Sequence[str], rank: int, **defaults: Any) -> dict[str, Any]:
    given = call.bind(names, **defaults)
    check_only(call, given["input"])
    if call.rank != rank + 2:
        raise NotDescribed("it takes a tensor without an axis for the batch")
    return given


def max_pooling(rank: int) -> Describe:
    """``max_pool1d`` to ``max_pool3d``, without indices."""
    names = ["input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"]

    def known(call: Call) -> Described:
        given = _spatial(call, [*names, "return_indices"], rank, return_indices=False)
        if given["return_indices"] is not False:
            raise NotDescribed("it returns indices")
        return Described(Largest(call.dtype))

    return known


def average_pooling(rank: int) -> Describe:
    """``avg_pool1d`` to ``avg_pool3d``."""
    names = ["input", "kernel_size", "stride", "padding", "ceil_mode"]
    names += ["count_include_pad", "divisor_override"]

    def known(call: Call) -> Described:
        given = _spatial(
            call, names, rank, stride=None, padding=0, ceil_mode=False, count_include_pad=True
        )
        if call.operands != call.node.all_input_nodes:
            raise NotDescribed("its settings are computed")
        return modules.average_pooling(
            call.dtype,
            rank,
            (given["kernel_size"], given["stride"] or given["kernel_size"]),
            given["padding"],
            given["ceil_mode"],
            (given["count_include_pad"], given.get("divisor_override")),
        )

    return known


def adaptive_pooling(rank: int) -> Describe:
    """``adaptive_avg_pool1d`` to ``adaptive_avg_pool3d``."""

    def known(call: Call) -> Described:
        _spatial(call, ["input", "output_size"], rank)
        return Described(Mean(call.dtype))

    return known


def interpolate(call: Call) -> Described:
    """A change of size, by weights that sum to one."""
    names = ["input", "size", "scale_factor", "mode", "align_corners"]
    names += ["recompute_scale_factor", "antialias"]
    given = call.bind(names, mode="nearest", antialias=False)
    check_only(call, given["input"])
    if given["antialias"] is not False or call.rank < 3:
        raise NotDescribed("")
    return modules.interpolation(given["mode"], call.dtype)


def pad(call: Call) -> Described:
    """Padding along spatial axes."""
    given = call.bind(["input", "pad", "mode", "value"], mode="constant", value=None)
    check_only(call, given["input"])
    flat = given["pad"]
    if not isinstance(flat, tuple | list) or not all(isinstance(n, int) for n in flat):
        raise NotDescribed("its padding is computed")
    spatial = call.rank - 2
    if len(flat) > 2 * spatial or not 1 <= spatial <= 3:
        raise NotDescribed("it pads the axis of the channels")
    if given["mode"] != "constant":
        return Described(Mean(call.dtype))
    if given["value"] not in (None, 0):
        raise NotDescribed("it pads with other values than zero")
    return modules.zero_padding([*flat, *[0] * (2 * spatial - len(flat))], call.dtype)


def mean(call: Call) -> Described:
    """A mean over other axes than those of the batch and the channels."""
    given = call.bind(["input", "dim", "keepdim"], dim=None, keepdim=False)
    check_only(call, given["input"])
    if call.operands != call.node.all_input_nodes or given["dim"] is None:
        raise NotDescribed("")
    dim = given["dim"]
    axes = {x % call.rank for x in (dim if isinstance(dim, tuple | list) else [dim])}
    if 0 in axes:
        raise NotDescribed("it takes the mean over the batch")
    if 1 not in axes and call.rank > 2:
        return Described(Mean(call.dtype))
    if call.rank - 1 not in axes:
        return Described(Mean(call.dtype, channels_first=False))
    raise NotDescribed("it takes the mean over the channels")


def reshape(call: Call) -> Described:
    """The same elements in another shape; the reader checks that samples keep theirs."""
    if call.operands[:1] != [call.args[0]] or len(call.operands) != 1:
        raise NotDescribed("")
    return modules.reshape(call.dtype)


def permute(call: Call) -> Described:
    """Axes in another order, the batch first."""
    order = call.args[1:] if len(call.args) > 2 else call.args[1]
    if call.kwargs or not isinstance(order, tuple | list):
        raise NotDescribed("")
    return _permuted(call, [x % call.rank for x in order])


def transpose(call: Call) -> Described:
    """Two axes exchanged, not that of the batch."""
    given = call.bind(["input", "dim0", "dim1"])
    one, other = given["dim0"] % call.rank, given["dim1"] % call.rank
    order = list(range(call.rank))
    order[one], order[other] = other, one
    return _permuted(call, order)


def _permuted(call: Call, order: list[int]) -> Described:
    check_only(call, call.args[0])
    if order[0] != 0:
        raise NotDescribed("it moves the axis of the batch")
    return Described(layers.Permute(tuple(order[1:]), name="description", dtype=call.dtype))
