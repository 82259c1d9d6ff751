"""Memory of a training process: keep what was freed instead of asking the kernel for it again at every step."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST = 32 * 2**20  # what glibc accepts as the size from which on a block is mapped by itself
KEPT = 2**31 - 1  # bytes at the top of the heap that stay


def keep_freed_memory() -> None:
    """Tell glibc not to give freed blocks back to the kernel; nothing happens where the C library is another one.

    By default every activation of more than 128 KiB is mapped, faulted in page by page and unmapped again, which is a
    quarter of the step of a small detector on a CPU (tests/benchmarks/test_detector_step.py).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, KEPT)
