"""Files that a run writes for their owner alone: what hosts said is in them."""

from __future__ import annotations

import os
import stat

_OWNER = 0o600
OWNER_FOLDER = 0o700


def owner_only(path: str, flags: int) -> int:
    """Open a file that nobody but its owner may read; for ``opener=`` of ``open``.

    One that is there already is closed to the others too, unless it is a device or a pipe.
    """
    descriptor = os.open(path, flags, _OWNER)
    if hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, _OWNER)
    return descriptor
