"""What is named on a command line: folders, files, texts, tables."""

import numpy as np
import pytest

from metric_learning.data.named_items import items_in, once


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_names_images_texts_features_and_rows(tmp_path):
    (tmp_path / "my photos").mkdir()
    picture = written(tmp_path / "my photos" / "a.jpg", "")
    products = written(tmp_path / "t.csv", "Bild;Artikel\nmy photos\\a.jpg;7 b\nmy photos/a.jpg;\n")
    files, names, labels = items_in(products, "images", column="Bild", label="Artikel")
    assert (files, names, labels) == ([picture, picture], [str(picture)] * 2, ["7 b", ""])
    assert items_in(products, "texts", column="Bild")[2] is None
    questions = written(tmp_path / "q.csv", "text,label\nwhere is it?,place\n")
    assert items_in(questions, "texts") == (["where is it?"], ["where is it?"], ["place"])
    vectors = written(tmp_path / "v.jsonl", '{"features": [1, 2], "id": "x"}\n')
    rows, names, labels = items_in(vectors, "features")
    assert np.array_equal(rows, [[1.0, 2.0]]) and (names, labels) == (["x"], None)
    assert items_in(questions, "ids") == ([{"text": "where is it?", "label": "place"}], ["1"], ["place"])


def test_what_is_no_table_of_the_kind_is_refused(tmp_path):
    table = written(tmp_path / "t.csv", "Bild,label\na.jpg,b\n")
    with pytest.raises(ValueError, match="no column image or path: say where the images are with column=COLUMN; its"):
        items_in(table, "images")
    with pytest.raises(ValueError, match="no column 'kind', which label asks for; its columns are Bild, label"):
        items_in(table, "images", column="Bild", label="kind")
    with pytest.raises(ValueError, match="column and label are of a table, such as a .csv or .parquet file; got a "):
        items_in("a text", "texts", label="kind")
    for kind, missing in (("texts", "faq.csv"), ("texts", "faq.txt"), ("images", "faq.csv")):
        with pytest.raises(ValueError, match="faq"):
            items_in(tmp_path / missing, kind)
    assert items_in("where is faq.txt", "texts")[0] == ["where is faq.txt"]


def test_a_line_ends_where_an_editor_ends_it(tmp_path):
    texts = ["one\u2028and more", "two\x85three", "four\x0cpage"]
    assert items_in(written(tmp_path / "t.txt", "\n".join(texts) + "\n"), "texts")[0] == texts
    (tmp_path / "t.txt").write_bytes("\r\n".join(texts).encode())
    assert items_in(tmp_path / "t.txt", "texts")[0] == texts


def test_once_takes_the_first_of_each_and_nothing_known():
    assert once(["b", "a", "b", "c", "a"]) == [0, 1, 3]
    assert once(["b", "a", "b", "c", "a"], known={"a"}) == [0, 3]
