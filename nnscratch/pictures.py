"""A picture file as grey levels, whatever its kind."""

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array
from .errors import DataError

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # no kind that runs a program
FIX = f"save it anew as one of these: {', '.join(KINDS)}"


def read_grey(path: Path) -> Array:
    """The picture in a file, shape (height, width), float32: 0 is black and 1 is white.

    Colours count as bright as they look (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B). What is
    transparent shows white, or black if what is drawn on it is light. A camera's note of how it
    was held is obeyed; of a film the first picture is read. Raises DataError for what is missing,
    no picture, damaged, or larger than Pillow's limit against files made to fill the memory (89
    million pixels).
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # takes 0.1 s to import

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd notes in a file that is read all the same
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=KINDS) as image:
                return _grey(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise DataError(f"{path} has more than {limit} pixels", "make it smaller") from None
    except UnidentifiedImageError:
        raise DataError(f"{path} is no picture of a kind that is read here", FIX) from None
    except FileNotFoundError:
        raise DataError(f"there is no picture {path}", "give the path of a picture") from None
    except OSError as error:
        if error.errno is None:  # Pillow's own
            raise DataError(f"{path} is damaged ({error})", FIX) from None
        what = f"{path} cannot be read ({error.strerror})"
        raise DataError(what, "give the path of a picture that can be read") from None
    except (SyntaxError, ValueError, EOFError, OverflowError, struct.error, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error})", FIX) from None


def _grey(image: Any) -> Array:
    if image.mode.startswith("I"):  # 16 bits a pixel; RGBA below has eight
        return np.clip(np.asarray(image, np.float32) / 65535, 0, 1)
    levels = np.asarray(image.convert("RGBA").convert("LA"), np.float32) / 255
    grey, alpha = levels[..., 0], levels[..., 1]
    is_light = np.sum(grey * alpha) > 0.5 * np.sum(alpha)
    return grey * alpha + (0 if is_light else 1) * (1 - alpha)
