"""The backends of Keras, TensorFlow, JAX and PyTorch, behind one interface; one module each."""

from kito.runtime.backends.jax import Jax as Jax
from kito.runtime.backends.protocol import Backend as Backend
from kito.runtime.backends.protocol import Jit as Jit
from kito.runtime.backends.select import current as current
from kito.runtime.backends.select import full_float32 as full_float32
from kito.runtime.backends.select import of as of
from kito.runtime.backends.select import of_framework as of_framework
from kito.runtime.backends.tensorflow import TensorFlow as TensorFlow
from kito.runtime.backends.torch import Torch as Torch
