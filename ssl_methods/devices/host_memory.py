"""Whether memory that was freed stays with the process.

Of themselves glibc's `malloc` and `free` ask the kernel for every block beyond 32 MB and give it
back, and a step that allocates the same activations again has every page of them cleared and mapped
anew. PyTorch keeps freed memory of a GPU, not of the host.
"""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
NEVER, LARGEST = -1, 2**31 - 1


def keep_freed_memory() -> None:
    """Keep what is freed from now on for what is asked for next, to the end of the process.

    No value that is computed changes. DTC's step at the paper's settings takes half the time and
    more memory (`docs/reference/performance.md`); the blocks of a small patch are kept anyway.
    C libraries other than glibc have no such option: there nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST)
        mallopt(TRIM_THRESHOLD, NEVER)
