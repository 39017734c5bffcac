"""Writes emoji that ship with the project as people keep their pictures: a folder for each thing, with files in it.

    python examples/emoji_folder.py folder=hour

    hour/pictures/CLASS/SET.png    to learn from: animals, food, places, games, objects, as drawn by up to eight sets
    hour/catalog/CLASS/SET.png     others, to be searched
    hour/queries/CLASS.png         one more drawing of each of these, and of as many that are not in the catalog
    hour/texts.csv                 text and label: what an emoji is called, in five languages

docs/first_hour.md goes on from there.
"""

import csv
import gzip
import io
import pathlib
import re
import shutil

from metric_learning.command_line import start_script, words_of

GROUPS = ("animals-nature", "food-drink", "travel-places", "activities", "objects")
LANGUAGES = ("de", "en", "es", "fr", "it")


def folder_names(class_names: list[str]) -> list[str]:
    """Names that any file system and shell takes: "upside-down-face"; of equal ones the later ones are numbered."""
    found: list[str] = []
    for name in class_names:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        found.append(f"{plain}-{len(found)}" if plain in found else plain)
    return found


def place_of(number: int, drawing: int) -> str:
    """Where a drawing of a thing goes: of every eighth thing, in turns, one into the queries and the others into the
    catalog, or one into the queries and the others nowhere."""
    if number % 8 < 7:
        return "pictures"
    if drawing == 0:
        return "queries"
    return "catalog" if number % 16 == 7 else "nowhere"


def write(folder: pathlib.Path) -> dict[str, int]:
    """Writes all of it and returns how many pictures each folder has.

    Args:
        folder: must not be there yet; appears when all is written.

    Raises:
        ValueError: the folder is there.
    """
    if folder.exists():
        raise ValueError(f"folder must be a new one; {folder} is there already")
    unfinished = folder.with_name(f".unfinished-{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    counts = write_pictures(unfinished)
    write_texts(unfinished / "texts.csv")
    unfinished.rename(folder)
    return counts


def write_pictures(folder: pathlib.Path) -> dict[str, int]:
    """Writes the drawings of the things, each once, and returns how many went where."""
    import numpy as np
    from PIL import Image

    from metric_learning.data.shipped import read_shipped

    archive = np.load(io.BytesIO(read_shipped("images.npz")))
    names = folder_names(archive["class_names"].tolist())
    things = np.flatnonzero(np.isin(archive["group"], np.flatnonzero(np.isin(archive["group_names"], GROUPS))))
    images, labels, sets = archive["images"], archive["labels"], archive["set_names"][archive["set_index"]]
    counts = dict.fromkeys(("pictures", "catalog", "queries"), 0)
    written: set[bytes] = set()
    for number, thing in enumerate(things):
        for drawing, row in enumerate(np.flatnonzero(labels == thing)):
            place, pixels = place_of(number, drawing), images[row].tobytes()
            if place == "nowhere" or pixels in written:  # some sets draw two things alike
                continue
            file = f"{names[thing]}.png" if place == "queries" else f"{names[thing]}/{sets[row]}.png"
            (folder / place / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[row]).save(folder / place / file)
            written.add(pixels)
            counts[place] += 1
    return counts


def write_texts(path: pathlib.Path) -> None:
    """Writes what the emoji are called, a row for each of them and each language."""
    import numpy as np

    from metric_learning.data.shipped import read_shipped

    names = folder_names(np.load(io.BytesIO(read_shipped("images.npz")))["class_names"].tolist())
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for line in gzip.decompress(read_shipped("texts.tsv.gz")).decode().splitlines():
            label, language, text = line.split("\t")
            if language in LANGUAGES:
                rows.writerow([text, names[int(label)]])


def main(arguments: list[str]) -> None:
    settings = words_of(arguments, folder=None)
    if settings.folder is None:
        raise ValueError("expected folder=FOLDER, a new one")
    counts = write(pathlib.Path(settings.folder))
    print(", ".join(f"{count:,} in {settings.folder}/{place}" for place, count in counts.items()))


if __name__ == "__main__":
    start_script(main, __doc__)
