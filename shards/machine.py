"""What of a machine a process may use: less than there is where it is bound or in a container."""

import os
from pathlib import Path

__all__ = ["cores_in_sight", "usable_cores", "usable_memory"]

# Of both versions of Linux's control groups. The first has two files for a quota, the second both
# numbers in one.
_QUOTAS = (
    ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu.max"),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def cores_in_sight() -> int:
    """Cores that this process may run on, however little time it may have on them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_cores() -> int:
    """Cores that this process may keep busy: `cores_in_sight`, or its container's quota of time,
    rounded up, where that is less."""
    quota = _cores_of_quota()
    return cores_in_sight() if quota is None else min(cores_in_sight(), quota)


def usable_memory() -> int:
    """Bytes that the machine has, or its container may take."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _MEMORY_LIMITS:
        try:
            memory = min(memory, int(Path(path).read_text()))
        except (OSError, ValueError):  # no such file, or no limit ("max")
            continue
    return memory


def _cores_of_quota() -> int | None:
    """Cores' worth of time that Linux gives this container; None without a limit."""
    for quota_file, period_file in _QUOTAS:
        try:
            numbers = [
                *Path(quota_file).read_text().split(),
                *Path(period_file).read_text().split(),
            ]
            quota, period = int(numbers[0]), int(numbers[-1])
        except (OSError, ValueError):  # no such file, or no limit ("max")
            continue
        if quota > 0:
            return -(-quota // period)
    return None
