"""Keep what calls free, so that the next call does not wait for the operating system.

PyTorch takes the memory of each tensor on a CPU from ``malloc``. The one of glibc gives large
blocks back when they are freed, and the next call gets new pages for them, each by a page fault.
That was 30 to 50 % of a call's time, and the number of faults depends on where blocks happen to
lie: 55,000 to 95,000 in a call of the very same EfficientNetB0. The allocators that PyTorch's
tuning guide recommends for production, jemalloc and tcmalloc, keep freed memory.
"""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_MAX`` of ``malloc.h``; see the manual page ``mallopt(3)``."""


@cache
def keep_freed_memory() -> bool:
    """Have glibc keep the memory that this process frees, from now on.

    Returns:
        False where the C library is another one; nothing changes there.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl; Windows has no CDLL(None)
        return False
    # All blocks come from the heap, whose end is never given back.
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))
