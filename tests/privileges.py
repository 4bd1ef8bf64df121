"""Whether this process may write where it is not allowed to, and a way of running tests without that privilege.

Root writes into read-only folders, so that a test of one shows nothing. Run as
``python -m tests.privileges <arguments of pytest>``, pytest runs as an ordinary user does: same user, no capabilities.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from pathlib import Path

#: Version 3 of the kernel's interface takes two sets of three words.
_VERSION = 0x20080522


def writes_anywhere() -> bool:
    """Whether a folder that is read-only can be written all the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sealed"
        folder.mkdir(mode=0o500)
        return os.access(folder, os.W_OK)


def drop() -> None:
    """Give up all capabilities, in this thread and those that it starts.

    Raises:
        OSError: If the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset((ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    drop()  # before Polars starts its threads
    if writes_anywhere():
        sys.exit("read-only folders can still be written")
    import pytest

    sys.exit(pytest.main([*sys.argv[1:], "-p", "no:cacheprovider"]))
