"""A picture file as grey levels, whatever its kind."""

import math
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
SIDE = 2000  # pixels: of a longer side, several are averaged into one
OPAQUE = ("1", "L", "RGB", "CMYK", "YCbCr")
DAMAGED = (  # what Pillow's readers meet when they believe a file's numbers
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read_grey(path: Path) -> Array:
    """The picture in a file, shape (height, width), float32: 0 is black and 1 is white.

    One with a side beyond 2,000 pixels is made smaller by a whole number, each new pixel the mean
    of those that it covers.

    Colours count as bright as they look (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B). What is
    transparent shows white, or black if what is drawn on it is light. A camera's note of how it
    was held is obeyed; of a film the first picture is read. Raises DataError for what is missing,
    no picture, damaged, without a number that means white (floats, integers of 32 bits), or larger
    than Pillow's limit against files made to fill the memory: 89 million pixels, which take 0.3 GB
    in black and white and 1.4 with transparency.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # takes 0.1 s to import

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd notes in a file that is read all the same
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=KINDS) as image:
                if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
                    what = f"{path} has numbers of which none is known to be white"
                    raise DataError(what, "save it with 8 or 16 bits a pixel")
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
    except DAMAGED as error:
        raise DataError(f"{path} is damaged ({error})", FIX) from None


def _grey(image: Any) -> Array:
    if image.mode.startswith("I"):  # 16 bits a pixel; the others have eight
        return np.clip(_smaller(image.convert("F")) / 65535, 0, 1)
    if image.mode in OPAQUE and "transparency" not in image.info:
        return _smaller(image.convert("L")) / 255
    levels = _smaller(image.convert("RGBA"), "LA") / 255
    grey, alpha = levels[..., 0], levels[..., 1]
    is_light = np.sum(grey * alpha) > 0.5 * np.sum(alpha)
    return grey * alpha + (0 if is_light else 1) * (1 - alpha)


def _smaller(image: Any, mode: str | None = None) -> Array:
    """Its levels, float32, in that mode."""
    factor = math.ceil(max(image.size) / SIDE)
    if factor > 1:
        image = image.reduce(factor)
    return np.asarray(image.convert(mode), np.float32)
