"""What each layer type can do with an affine: be one, absorb one, or let one pass.

:mod:`protocol` defines a transfer, :mod:`registry` finds the transfer of a layer. Each other module
holds one family of layers and registers its transfers when it is imported, which happens here.
"""

from kito.rewrite.transfer import activation as activation
from kito.rewrite.transfer import arithmetic as arithmetic
from kito.rewrite.transfer import attention as attention
from kito.rewrite.transfer import convolution as convolution
from kito.rewrite.transfer import dense as dense
from kito.rewrite.transfer import described as described
from kito.rewrite.transfer import layout as layout
from kito.rewrite.transfer import merging as merging
from kito.rewrite.transfer import normalization as normalization
from kito.rewrite.transfer import pooling as pooling
from kito.rewrite.transfer import time_distributed as time_distributed
from kito.rewrite.transfer.protocol import Change as Change
from kito.rewrite.transfer.protocol import Site as Site
from kito.rewrite.transfer.protocol import Transfer as Transfer
from kito.rewrite.transfer.registry import register as register
from kito.rewrite.transfer.registry import transfer_of as transfer_of
