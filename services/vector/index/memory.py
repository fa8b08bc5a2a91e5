"""Memory that is given back is overwritten.

Chroma writes two of its files at full capacity, and what stands behind the last entry is whatever was in the
memory that it got: pieces of texts that were deleted long ago among it. So nothing may be left in there.
"""

from __future__ import annotations

import ctypes

# See mallopt(3): glibc fills memory with this byte when it is freed, and with its complement, which is 0,
# when it is given out.
_M_PERTURB = -6
_FREED = 0xFF


def overwrite_what_is_given_back() -> bool:
    """From now on, for all of the process; False where the C library is another and cannot do that."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt is not None and mallopt(_M_PERTURB, _FREED))
