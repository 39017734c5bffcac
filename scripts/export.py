"""Writes the encoder of a run in a format that others read, with a card that says what it is and how it is used.

    python scripts/export.py run=outputs/RUN to=keras out=FOLDER         # for metric_learning.load, alone and moved
    python scripts/export.py run=outputs/RUN to=saved_model out=FOLDER   # for TensorFlow Serving, from raw bytes, texts
    python scripts/export.py run=outputs/RUN to=onnx out=FOLDER          # for onnxruntime; needs the extra "export"
    python scripts/export.py run=outputs/RUN to=litert out=FOLDER        # for phones; needs the extra "export"

The export is tried before it is there: in a process of its own, on check=200 items of the test split of the run, whose
embeddings must be those of the encoder to 1e-5. data.KEY=VALUE, such as data.root=DIR, says where these data lie now,
and check=0 leaves the trial out. FOLDER is new or empty, or of an earlier export, which is replaced. trusted=[] names
packages whose code the encoder or its data needs. README.md in FOLDER says how to use it.
"""

import pathlib

import metric_learning
from metric_learning.command_line import build, start_script, words_of
from metric_learning.run_configuration import apart, load

FORMATS = ("keras", "saved_model", "onnx", "litert")


def main(arguments):
    arguments, moved = apart(arguments)
    settings = words_of(arguments, run=None, to=None, out=None, check=200, trusted=[])
    if None in (settings.run, settings.to, settings.out):
        raise ValueError(f"expected run=FOLDER to={'|'.join(FORMATS)} out=FOLDER")
    if settings.to not in FORMATS:
        raise ValueError(f"to must be one of {', '.join(FORMATS)}; got {settings.to!r}")
    if type(settings.check) is not int or settings.check < 0:
        raise ValueError(f"check must be a number of items, at least 0; got {settings.check}")

    metric_learning.import_tensorflow()
    from metric_learning.export import check_free, check_packages, export, raw_items_of

    check_free(settings.out)
    check_packages(settings.to)
    folder = pathlib.Path(settings.run)
    encoder = metric_learning.load(folder, trusted=settings.trusted)
    items = []
    if settings.check:
        if not (folder / "config.yaml").is_file():
            raise ValueError(f"there is no config.yaml in {folder}, which names the data to try it on; say check=0")
        source = build(load(folder / "config.yaml", settings.trusted, moved).data)
        items = raw_items_of(encoder, source.test, settings.check)
    found = export(encoder, settings.to, settings.out, items)
    print(f"{settings.to} of {folder} in {found.folder}: {found.size / 1e6:.2f} MB; README.md says how to use it")
    if found.items:
        print(
            f"in a process of its own, {found.items} items of the test split differ by {found.difference:.1e} at most"
        )


if __name__ == "__main__":
    start_script(main, __doc__)
