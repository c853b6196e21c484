"""The user's cache folder, where downloaded and compiled files are kept between runs."""

import errno
import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """The folder for nnscratch's files that can be made again; it need not exist yet.

    `$XDG_CACHE_HOME/nnscratch`, else the custom of the system. OSError for a user without a home.
    """
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if configured.is_absolute():  # others are to be ignored, says the XDG specification
        return configured / "nnscratch"
    try:
        return _custom() / "nnscratch"
    except RuntimeError as error:
        raise OSError(errno.ENOENT, f"no cache folder: {error}") from None


def _custom() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home())
    return Path.home() / ".cache"
