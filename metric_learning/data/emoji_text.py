"""Emoji texts: a class is an emoji, its items are its name and keywords in 16 languages."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np

from metric_learning.data.emoji import read_class_names
from metric_learning.data.shipped import read_shipped
from metric_learning.data.source import DataSource, text_source
from metric_learning.data.splits import rows_of_classes, split_classes_by_index


def emoji_text(**vocabulary_options: Any) -> DataSource:
    """1,565 emoji described in 16 languages, 25,040 texts, which ship with the project.

    The classes have the indices and the splits of `emoji()`; 51 emoji that others are put together
    from (families, hair colors) have no text. `scripts/build_emoji.py` makes the file, and
    `emoji/LICENSES.md` says where the words are from.

    Args:
        vocabulary_options: `max_tokens`, `min_count`, `length`, `oov_buckets` and `ngrams`, see
            `Vocabulary.from_texts`.

    Returns:
        Texts as int32 [n, length] with their vocabulary, captions such as "dove bird fly peace".

    Raises:
        ValueError: a data file is missing or corrupt, or a vocabulary option is out of range.
    """
    lines = gzip.decompress(read_shipped("texts.tsv.gz")).decode().splitlines()
    label_column, _, texts = zip(*(line.split("\t") for line in lines), strict=True)
    labels = np.array(label_column, np.int64)
    class_names = read_class_names()
    rows = rows_of_classes(labels, split_classes_by_index(len(class_names)))
    # A few emoji have the same words in two languages: known, and counted in the run folder.
    return text_source("emoji_text", class_names, texts, labels, rows, warn_about_copies=False, **vocabulary_options)
