"""Measures exports of runs beside the encoder itself: how far off, how large, how fast; and what decoding differs by.

    python scripts/benchmark_export.py "runs=[outputs/RUN,outputs/OTHER]"
    python scripts/benchmark_export.py "runs=[outputs/RUN]" "formats=[onnx]" seconds=5
    python scripts/benchmark_export.py decoding=true      # the graph's images beside Pillow's, of many kinds of file

Prints tables in Markdown. Speed is from raw items (bytes of images, texts, rows) to embeddings, in a process of its own
for each format, Keras the last line of each run; a batch of 1 and of 32, the median of what fits into seconds=2 after a
warm-up, on all cores.
"""

import io
import json
import pathlib
import tempfile

import numpy as np

import metric_learning
from metric_learning.command_line import build, start_script, words_of
from metric_learning.run_configuration import load

FORMATS = ("keras", "saved_model", "onnx", "litert")
TIMES = """
import time

speeds = []
for size in (1, 32):
    batch = (items * 32)[:size]
    taken, until = [], time.perf_counter() + float(sys.argv[2])
    embed(batch), embed(batch)
    while time.perf_counter() < until or len(taken) < 3:
        began = time.perf_counter()
        embed(batch)
        taken.append(time.perf_counter() - began)
    speeds.append(size / sorted(taken)[len(taken) // 2])
print(json.dumps(speeds))
"""


def main(arguments):
    settings = words_of(arguments, runs=[], formats=list(FORMATS), seconds=2.0, items=200, decoding=False, trusted=[])
    if not settings.runs and not settings.decoding:
        raise ValueError("expected runs=[FOLDER,...] or decoding=true")
    if settings.runs:
        print("| run | to | largest difference | MB | items/s at 1 | at 32 |\n|---|---|--:|--:|--:|--:|")
    for run in settings.runs:
        measure(pathlib.Path(run), settings)
    if settings.decoding:
        compare_decoding()


def measure(folder, settings):
    from metric_learning.export import FORMATS as modules
    from metric_learning.export import export, given, raw_items_of, run_in

    encoder = metric_learning.load(folder, trusted=settings.trusted)
    source = build(load(folder / "config.yaml", settings.trusted).data)
    items = raw_items_of(encoder, source.test, settings["items"])
    for to in settings.formats:
        with tempfile.TemporaryDirectory() as work:
            found = export(encoder, to, pathlib.Path(work) / "out", items)
            program = modules[to].usage(encoder) + TIMES
            speeds = json.loads(run_in(found.folder, program, given(encoder, to, items), str(settings.seconds)))
        numbers = " | ".join(f"{speed:,.0f}" for speed in speeds)
        print(f"| {source.name} | {to} | {found.difference:.1e} | {found.size / 1e6:.2f} | {numbers} |", flush=True)


def compare_decoding():
    """A picture as files of many kinds, by Pillow and by the graph, in one size."""
    import tensorflow as tf
    from PIL import Image

    from metric_learning.data.images import fit_image
    from metric_learning.export.graph_images import decode_and_fit

    shape = (96, 96, 3)
    print("| file | pixels that differ | by at most, of 255 |\n|---|--:|--:|")
    for name, file in files_of_many_kinds().items():
        expected = fit_image(Image.open(io.BytesIO(file)), shape[:2]).astype(int)
        try:
            found = decode_and_fit(tf.constant([file]), shape, "letterbox")[0].numpy()
        except tf.errors.InvalidArgumentError:
            print(f"| {name} | refused | |")
            continue
        off = abs(found - expected)
        print(f"| {name} | {(off.max(axis=2) > 0).mean():.1%} | {off.max()} |")


def files_of_many_kinds():
    from PIL import Image

    rng = np.random.default_rng(0)
    found = {}

    def add(name, image, format, **options):
        file = io.BytesIO()
        image.save(file, format, **options)
        found[name] = file.getvalue()

    small = Image.fromarray(rng.integers(256, size=(9, 12, 4), dtype=np.uint8))
    image = small.resize((1200, 900), Image.Resampling.BICUBIC)
    noise = rng.integers(-30, 30, (900, 1200, 4))
    rgba = Image.fromarray(np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8))
    rgb = rgba.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    add("JPEG", rgb, "jpeg", quality=90)
    add("JPEG, progressive, 4:4:4", rgb, "jpeg", quality=75, progressive=True, subsampling=0)
    add("JPEG, gray", rgb.convert("L"), "jpeg")
    add("JPEG, turned by EXIF", rgb, "jpeg", exif=exif)
    add("JPEG, CMYK", rgb.convert("CMYK"), "jpeg")
    add("PNG", rgb, "png")
    add("PNG, transparent", rgba, "png")
    add("PNG, palette", rgb.convert("P"), "png")
    add("PNG, black and white", rgb.convert("1"), "png")
    gray = np.asarray(rgb.convert("L")).astype(np.uint16)
    add("PNG, 16 bits of gray", Image.fromarray(gray * 257), "png")
    add("PNG, 12 bits of gray in 16", Image.fromarray(gray * 16), "png")
    add("GIF", rgb.convert("P"), "gif")
    add("GIF, transparent", rgb.convert("P"), "gif", transparency=3)
    add("BMP", rgb, "bmp")
    add("WebP", rgb, "webp", quality=80)
    add("WebP, transparent", rgba, "webp", quality=80)
    add("TIFF", rgb, "tiff")
    return found


if __name__ == "__main__":
    start_script(main, __doc__)
