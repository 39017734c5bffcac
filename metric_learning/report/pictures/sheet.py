"""A picture made of images and lines of text at their pixels.

matplotlib would take some milliseconds for each of them, and a report has hundreds: charts are its work, see `canvas`.
"""

import functools
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from metric_learning.report.pictures import canvas


class Sheet:
    """A white page to put things on; all places are pixels from the top left.

    Args:
        width, height: of the page.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width, height), "white")
        self._pen = ImageDraw.Draw(self._image)

    def heading(self, title: str, subtitle: str) -> None:
        """Title and an explaining line at the top, shortened to the width of the page."""
        self.write(16, 24, title, size=15, weight="bold", room=self.width - 32)
        self.write(16, 50, subtitle, color=canvas.GRAY, room=self.width - 32)

    def write(
        self,
        x: float,
        y: float,
        text: object,
        *,
        size: float = 10,
        weight: str = "normal",
        color: str = canvas.INK,
        ha: str = "left",
        room: float | None = None,
    ) -> None:
        """One line of text.

        Args:
            x: of its left end, its middle or its right end, as `ha` says.
            y: of its middle.
            text: with a box for what no font can draw, see `canvas.legible`.
            size: of the letters, in points of which 72 are 100 pixels.
            weight: "normal" or "bold".
            color: "#rrggbb".
            ha: "left", "center" or "right".
            room: pixels; what is longer is shortened. None: as long as it is.
        """
        font = functools.partial(_font, weight, round(size * 100 / 72, 1))
        words = canvas.legible(text)
        if room is not None and _length(words, font) > room:
            # The longest beginning that fits, by bisection.
            fits, too_long = 0, len(words)
            while too_long - fits > 1:
                middle = (fits + too_long) // 2
                if _length(words[:middle].rstrip() + "\u2026", font) > room:
                    too_long = middle
                else:
                    fits = middle
            words = words[:fits].rstrip() + "\u2026"
        x -= {"left": 0, "center": 0.5, "right": 1}[ha] * _length(words, font)
        ascent, descent = font("DejaVu Sans").getmetrics()
        for family, run in _runs(words):
            self._pen.text((x, y + (ascent - descent) / 2), run, fill=color, font=font(family), anchor="ls")
            x += font(family).getlength(run)

    def fill(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """A rectangle, given its top left corner."""
        self._pen.rectangle((round(x), round(y), round(x + width) - 1, round(y + height) - 1), fill=color)

    def dots(self, places: ArrayLike, colors: Iterable[str], diameter: int = 8) -> None:
        """Dots that let others shine through, given their middles [n, 2]."""
        mask = Image.new("L", (4 * diameter, 4 * diameter))
        ImageDraw.Draw(mask).ellipse((0, 0, 4 * diameter - 1, 4 * diameter - 1), fill=204)
        mask = mask.resize((diameter, diameter), Image.Resampling.BOX)
        for (x, y), color in zip(np.asarray(places).tolist(), colors, strict=True):
            self._image.paste(color, (round(x - diameter / 2), round(y - diameter / 2)), mask)

    def put(self, image: Image.Image, x: float, y: float) -> None:
        """An image as it is, given its top left corner."""
        self._image.paste(image, (round(x), round(y)))

    def save(self, path: str | Path) -> Path:
        """Writes the PNG, with its folder, and returns the path. Equal sheets give equal bytes."""
        return canvas.save_pixels(self._image, path)


@functools.cache
def _font(weight: str, pixels: float, family: str) -> Any:
    path = font_manager.findfont(f"{family}:weight={weight}")
    return ImageFont.truetype(str(path), pixels, index=getattr(path, "face_index", 0))


def _runs(words):
    """Yields (family, letters) of the stretches of a text that one font draws."""
    families = {family: canvas.characters(family) for family in canvas.families()}
    family_of = {c: next(name for name, has in families.items() if ord(c) in has) for c in set(words)}
    for family, letters in itertools.groupby(words, key=family_of.get):
        yield family, "".join(letters)


def _length(words, font):
    return sum(font(family).getlength(run) for family, run in _runs(words))
