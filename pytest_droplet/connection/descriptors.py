"""How many connections may be open at once: the limit of open files, raised as far as it goes."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

_RESERVED = 64


def raise_descriptor_limit(connections: int) -> tuple[int, str]:
    """Raise the soft limit of open files, and return how many sockets fit, and what to tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft not in {resource.RLIM_INFINITY, hard}:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        limit = 65_536
    try:
        used = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        used = _RESERVED
    free = max(2, min(limit, 65_536) - used - _RESERVED)
    # A session has an agent's socket or a probe's beside its own.
    free -= min(2 * connections, free // 2)
    if free < connections:
        return free, (
            f"{free} hosts at once instead of {connections}: no more than {limit} files may be"
            " open; raise ulimit -n"
        )
    return free, ""
