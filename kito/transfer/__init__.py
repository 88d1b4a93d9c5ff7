"""What each layer type can do with an affine: be one, absorb one, or let one through.

``base`` says what a transfer is and holds the registry; ``sources`` has what is an affine;
``kernels`` and ``attention`` what absorbs one; ``through`` and ``joins`` what lets one pass, with
one input and with several.
"""

from kito.transfer import attention as attention
from kito.transfer import joins as joins
from kito.transfer import kernels as kernels
from kito.transfer import sources as sources
from kito.transfer import through as through
from kito.transfer import timedistributed as timedistributed
from kito.transfer.base import Change as Change
from kito.transfer.base import Site as Site
from kito.transfer.base import Transfer as Transfer
from kito.transfer.base import register as register
from kito.transfer.base import transfer_of as transfer_of
