"""Make the emoji images and texts that ship in `metric_learning/data/emoji/`, byte for byte.

    npm install --ignore-scripts --prefix /tmp/emoji @iconify-json/noto@1.2.9 \\
        @iconify-json/noto-v1@1.2.5 @iconify-json/twemoji@1.2.5 \\
        @iconify-json/fluent-emoji-flat@1.2.6 @iconify-json/fluent-emoji-high-contrast@1.2.6 \\
        @iconify-json/emojione@1.2.3 @iconify-json/emojione-monotone@1.2.1 \\
        @iconify-json/fxemoji@1.2.2 emojibase-data@17.0.0 cldr-annotations-full@48.2.0
    pip install numpy==2.4.6 pillow==13.0.0 resvg-py==0.5.0
    python scripts/build_emoji.py /tmp/emoji/node_modules

A class is an emoji without skin tones that at least four of the eight open sets draw; an image is
one set's drawing on white, 32x32x3. A text is the name and the keywords of the same emoji in one
of 16 languages. Classes are in emoji order, and class i means the same in both files.
The bytes also hang on zlib (1.2.13 here); with another one compare what `--digest` prints, the
SHA-256 of the contents before compression.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

SETS = {
    "noto": "1.2.9",
    "noto-v1": "1.2.5",
    "twemoji": "1.2.5",
    "fluent-emoji-flat": "1.2.6",
    "fluent-emoji-high-contrast": "1.2.6",
    "emojione": "1.2.3",
    "emojione-monotone": "1.2.1",
    "fxemoji": "1.2.2",
}
OTHER_PACKAGES = {"emojibase-data": "17.0.0", "cldr-annotations-full": "48.2.0"}
LOCALES = "en de fr es it pt nl sv da pl tr id fi hu cs ro".split()
LEAST_DRAWINGS = 4
COMPONENT_GROUP = 2  # skin tones and hair on their own
IMAGE_SIZE = 32
TARGET = Path(__file__).resolve().parents[1] / "metric_learning" / "data" / "emoji"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node_modules", type=Path, help="folder that npm filled")
    parser.add_argument("--target", type=Path, default=TARGET, help="default: %(default)s")
    parser.add_argument("--digest", action="store_true", help="print what does not hang on zlib")
    args = parser.parse_args()
    args.target.mkdir(parents=True, exist_ok=True)

    check_versions(args.node_modules)
    emoji = read_emoji(args.node_modules)
    sets = {name: read_icon_set(args.node_modules, name) for name in SETS}
    drawings = find_drawings(emoji, sets)
    classes = [code for code, found in drawings.items() if len(found) >= LEAST_DRAWINGS]
    classes.sort(key=lambda code: emoji[code]["order"])

    arrays = make_images(classes, drawings, emoji, sets, read_group_names(args.node_modules))
    np.savez_compressed(args.target / "images.npz", allow_pickle=False, **arrays)
    texts = make_texts(classes, args.node_modules)
    # No file name and no time in the gzip header: equal texts give equal bytes.
    (args.target / "texts.tsv.gz").write_bytes(gzip.compress(texts, compresslevel=9, mtime=0))

    sums = [f"{sha256(args.target / name)}  {name}\n" for name in ("images.npz", "texts.tsv.gz")]
    (args.target / "SHA256SUMS").write_text("".join(sums), encoding="ascii")
    print(f"{len(classes)} classes, {len(arrays['images'])} images, {texts.count(10)} texts")
    print("".join(sums), end="")
    if args.digest:
        contents = b"".join(array.tobytes() for array in arrays.values()) + texts
        print(hashlib.sha256(contents).hexdigest(), " contents")


def check_versions(node_modules: Path) -> None:
    """Other versions draw other pictures, so they are refused rather than warned about."""
    wanted = {f"@iconify-json/{name}": version for name, version in SETS.items()}
    wrong = []
    for package, version in {**wanted, **OTHER_PACKAGES}.items():
        manifest = node_modules / package / "package.json"
        found = read_json(manifest)["version"] if manifest.exists() else "nothing"
        if found != version:
            wrong.append(f"{package}@{version} (found {found})")
    if wrong:
        sys.exit(f"{node_modules} must hold {', '.join(wrong)}; see --help for the npm command")


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def plain_code(hexcode: str) -> str:
    """Hex code without the variation selector, which some sets write and others leave out."""
    return "-".join(part for part in hexcode.lower().split("-") if part != "fe0f")


def read_emoji(node_modules: Path) -> dict[str, dict]:
    """Plain code -> emojibase's entry; skin tones are listed under their base, so not here."""
    entries = read_json(node_modules / "emojibase-data/en/data.json")
    return {
        plain_code(entry["hexcode"]): entry
        for entry in entries
        if entry.get("group", COMPONENT_GROUP) != COMPONENT_GROUP
    }


def read_group_names(node_modules: Path) -> dict[str, list[str]]:
    names = read_json(node_modules / "emojibase-data/meta/groups.json")
    return {kind: [names[kind][str(i)] for i in range(len(names[kind]))] for kind in ("groups", "subgroups")}


def read_icon_set(node_modules: Path, name: str) -> dict:
    """Iconify's icons, with `codes`: icon name -> plain code as the set itself states it."""
    folder = node_modules / "@iconify-json" / name
    icons = read_json(folder / "icons.json")
    chars = folder / "chars.json"
    stated = read_json(chars) if chars.exists() else {}
    icons["codes"] = {icon: plain_code(code) for code, icon in stated.items()}
    return icons


def find_drawings(emoji: dict, sets: dict) -> dict[str, dict[str, str]]:
    """Plain code -> set name -> icon name.

    A set's own table counts first; then another set's table for the same icon name; then the
    Unicode name of the emoji. fxemoji writes names without separators and has no table.
    """
    code_of = {}
    for icons in sets.values():
        for icon, code in icons["codes"].items():
            code_of.setdefault(icon, code)
    for code, entry in emoji.items():
        label = entry["label"].lower().replace("’", "").replace("'", "")
        code_of.setdefault(re.sub(r"[^a-z0-9]+", "-", label).strip("-"), code)
    glued = {icon.replace("-", ""): code for icon, code in code_of.items()}

    drawings = defaultdict(dict)
    for name, icons in sets.items():
        for icon in [*icons["icons"], *icons.get("aliases", {})]:
            code = icons["codes"].get(icon) or code_of.get(icon)
            if code is None and name == "fxemoji":
                code = glued.get(icon)
            if code in emoji:
                drawings[code].setdefault(name, icon)
    return drawings


def make_images(classes, drawings, emoji, sets, group_names) -> dict[str, np.ndarray]:
    images, labels, set_index = [], [], []
    for label, code in enumerate(classes):
        for name, icon in drawings[code].items():
            images.append(draw(sets[name], icon))
            labels.append(label)
            set_index.append(list(SETS).index(name))
    entries = [emoji[code] for code in classes]
    return {
        "images": np.stack(images),
        "labels": np.array(labels, np.int32),
        "set_index": np.array(set_index, np.int8),
        "set_names": np.array(list(SETS)),
        "class_names": np.array([entry["label"] for entry in entries]),
        "hexcodes": np.array(classes),
        "group": np.array([entry["group"] for entry in entries], np.int16),
        "subgroup": np.array([entry["subgroup"] for entry in entries], np.int16),
        "group_names": np.array(group_names["groups"]),
        "subgroup_names": np.array(group_names["subgroups"]),
    }


def draw(icons: dict, name: str) -> np.ndarray:
    """One icon as uint8 [32, 32, 3], whole and centered on white; monotone sets in black."""
    alias = icons.get("aliases", {}).get(name, {"parent": name})
    if not set(alias) <= {"parent", "hFlip"}:
        raise ValueError(f"icon {name} changes its parent in a way not done here: {alias}")
    icon = icons["icons"][alias["parent"]]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">'
        f"{icon['body'].replace('currentColor', '#000')}</svg>"
    )
    longer_side = {"width": IMAGE_SIZE} if width >= height else {"height": IMAGE_SIZE}
    import resvg_py  # of the extra `emoji`, which --help does without

    png = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True, background="#ffffff", **longer_side)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGB")
    square = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), "white")
    square.paste(image, ((IMAGE_SIZE - image.width) // 2, (IMAGE_SIZE - image.height) // 2))
    return np.asarray(square)[:, ::-1] if alias.get("hFlip") else np.asarray(square)


def make_texts(classes: list[str], node_modules: Path) -> bytes:
    """Lines of class index, locale and text, tab between them; by class, then locale.

    Emoji put together from others (families, hair) have no annotation of their own in this
    package, and so no text: their class index is skipped.
    """
    annotations = {}
    for locale in LOCALES:
        path = node_modules / "cldr-annotations-full/annotations" / locale / "annotations.json"
        annotations[locale] = {
            # Four digits at least, as emojibase writes them: "00a9", not "a9".
            plain_code("-".join(f"{ord(char):04x}" for char in sequence)): entry
            for sequence, entry in read_json(path)["annotations"]["annotations"].items()
        }
    lines = []
    for label, code in enumerate(classes):
        for locale in LOCALES:
            entry = annotations[locale].get(code)
            if entry is not None:
                text = " ".join([*entry.get("tts", []), *entry.get("default", [])])
                # Lower-casing the Turkish dotted capital leaves a stray combining dot behind.
                text = " ".join(text.lower().replace("i\u0307", "i").split())
                lines.append(f"{label}\t{locale}\t{text}\n")
    return "".join(lines).encode()


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(print(__doc__))
    main()
