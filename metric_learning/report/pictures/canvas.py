"""What all pictures share: colors, figures without global state, text that any font can draw, image tiles."""

import functools
import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import ArrayLike
from PIL import Image

from metric_learning.whole_files import in_one_move

INK, GRAY, PALE = "#1d2433", "#7a8394", "#e6e9ef"
RIGHT, WRONG = "#1a8f4c", "#d4352c"  # also told apart by a mark or a caption, for those who see no red
BLUE, ORANGE = "#2c6fbb", "#e08a1e"

_DOTS_PER_INCH = 100
_COMPRESS_LEVEL = 3  # half the time of 6, and a twentieth larger

# Tried in turn for what DejaVu Sans, which comes with matplotlib, cannot draw: fonts of Chinese, Japanese and Korean
# that systems come with.
FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei"),
    *("Droid Sans Fallback", "Microsoft YaHei", "SimHei", "MS Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans"),
    *("Arial Unicode MS", "IPAexGothic", "IPAGothic", "NanumGothic", "Unifont"),
)


def new_figure(width: float, height: float) -> Figure:
    """A figure of `width` x `height` pixels that pyplot never hears of: nothing to close, no
    settings to leak."""
    figure = Figure(
        figsize=(width / _DOTS_PER_INCH, height / _DOTS_PER_INCH),
        dpi=_DOTS_PER_INCH,
        facecolor="white",
    )
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path) -> Path:
    """Writes the PNG, with its folder, and returns the path. The same figure gives the same
    bytes."""
    return save_pixels(Image.fromarray(drawn(figure)), path)


def drawn(figure: Figure) -> np.ndarray:
    """uint8 [height, width, 3], the pixels of a figure."""
    if len(families()) > 1:
        for text in figure.findobj(Text):
            text.set_fontfamily(families())
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]  # it is Agg's


def save_pixels(image: Image.Image, path: str | Path) -> Path:
    """Writes a PNG, with its folder, and returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with in_one_move(path) as unfinished:
        image.save(unfinished, "PNG", compress_level=_COMPRESS_LEVEL)
    return path


def tidy(axes: Axes, xlabel: str, title: str) -> None:
    """A plain frame with a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)
    axes.tick_params(colors=GRAY, labelcolor=INK, labelsize=9)
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(legible(xlabel), color=INK, fontsize=10)
    axes.set_title(legible(title), loc="left", color=INK, fontsize=11, fontweight="bold", parse_math=False)


def heading(figure: Figure, title: str, subtitle: str) -> None:
    """Title and an explaining line at the top left of a figure with `constrained` room for them."""
    height = figure.get_figheight() * _DOTS_PER_INCH
    left = 16 / (figure.get_figwidth() * _DOTS_PER_INCH)
    for text, size, weight, color, y in (
        (title, 15, "bold", INK, 14),
        (subtitle, 10, "normal", GRAY, 42),
    ):
        figure.text(
            left,
            1 - y / height,
            legible(text),
            size=size,
            weight=weight,
            color=color,
            va="top",
            parse_math=False,
        )


def write(axes: Axes, x: float, y: float, text: object, **style: Any) -> Text:
    """Text as it stands: `$` starts no formula."""
    return axes.text(x, y, legible(text), parse_math=False, **{"color": INK, "va": "center", **style})


@functools.cache
def families() -> list[str]:
    """The fonts of all text, the first one that has a character drawing it."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in FALLBACKS if name in installed)]


@functools.cache
def characters(family: str) -> frozenset[int]:
    """What both weights of a font have."""
    fonts = [font_manager.findfont(f"{family}:weight={weight}") for weight in ("normal", "bold")]
    return frozenset.intersection(*(frozenset(font_manager.get_font(font).get_charmap()) for font in fonts))


def legible(text: object, width: int | None = None) -> str:
    """`text` in one line of at most `width` characters, with a box for what no font can draw.

    Emoji, and Chinese without a font for it, would otherwise raise a warning for each character.
    """
    known = [characters(family) for family in families()]
    text = "".join(c if any(ord(c) in each for each in known) else "\u25a1" for c in " ".join(str(text).split()))
    return text if width is None or len(text) <= width else text[: width - 1].rstrip() + "\u2026"


def legible_lines(text: object, width: int, count: int) -> list[str]:
    """At most `count` lines of `width` characters, the last one shortened."""
    lines = textwrap.wrap(legible(text), width) or [""]
    return lines if len(lines) <= count else [*lines[: count - 1], legible(" ".join(lines[count - 1 :]), width)]


def tile(image: ArrayLike, size: int) -> Image.Image:
    """An image of any size as RGB [size, size], its sides kept in proportion, on white.

    Args:
        image: uint8 [height, width, channels] with 1 (gray), 3 (RGB) or 4 (RGBA) channels.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or image.dtype != np.uint8:
        raise ValueError(f"images must be uint8 [height, width, 1, 3 or 4]; got {image.dtype} {list(image.shape)}")
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    scale = size / max(picture.size)
    sides = [max(1, math.floor(side * scale + 0.5)) for side in picture.size]
    picture = picture.resize(sides, Image.Resampling.LANCZOS)
    if picture.mode == "RGB" and sides == [size, size]:
        return picture
    page = Image.new("RGB", (size, size), "white")
    corner = ((size - sides[0]) // 2, (size - sides[1]) // 2)
    page.paste(picture.convert("RGB"), corner, picture.getchannel("A") if picture.mode == "RGBA" else None)
    return page
