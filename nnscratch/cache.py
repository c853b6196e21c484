"""The user's cache folder, where downloaded and compiled files are kept between runs."""

import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """The folder for nnscratch's files that can be made again; it need not exist yet.

    `$XDG_CACHE_HOME/nnscratch`, else the custom of the system.
    """
    if configured := os.environ.get("XDG_CACHE_HOME"):
        return Path(configured) / "nnscratch"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "nnscratch"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "nnscratch"
    return Path.home() / ".cache" / "nnscratch"
