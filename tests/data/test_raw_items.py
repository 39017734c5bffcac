"""What is named on a command line: folders, files, texts, tables."""

import numpy as np
import pytest

from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.raw_items import ids_of, items_in, once, sequence_of
from metric_learning.index import Index, fill


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


def test_once_takes_the_first_of_each_and_nothing_known():
    assert once(["b", "a", "b", "c", "a"]) == [0, 1, 3]
    assert once(["b", "a", "b", "c", "a"], known={"a"}) == [0, 3]


@pytest.mark.parametrize("known", [("3", "7"), ("3.0", "7.0")])
def test_a_number_as_a_category_is_the_same_however_it_is_spelled(known):
    columns = ColumnIds(("store",), (known,), (None,))
    for cell in (3, 3.0, np.int64(3), np.float32(3), known[0]):
        assert ids_of([{"store": cell}], columns).tolist() == [[1]], cell
    for cell in (3.5, True, float("nan"), float("inf"), 10**400, None, "", "3.00"):
        assert ids_of([{"store": cell}], columns).tolist() == [[0]], cell


class Column:
    """Such as one of pandas that was shuffled: it is gone through in its order, and column[0] is the row called 0."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __getitem__(self, name):
        return self.values[len(self.values) - 1 - name]


def test_several_items_are_taken_in_their_order_and_one_alone_is_one():
    assert sequence_of(Column(["a", "b", "c"]), "texts") == ["a", "b", "c"]
    index = Index(2)
    fill(index, lambda items: np.float32(items), Column([[1, 0], [0, 1]]).values, Column("ab"), labels=Column("yz"))
    assert [(hit.id, hit.label) for hit in index.search(np.float32([[1, 0]]), k=2)[0]] == [("a", "y"), ("b", "z")]
    table = Column([1])
    table.columns = ["text"]
    with pytest.raises(ValueError, match=r"a table must be given as its rows; of pandas items.to_dict\('records'\)"):
        sequence_of(table, "texts")
    for kind, shape, several in (
        ("images", (40, 40), (1, 40, 40)),
        ("images", (40, 40, 3), (1, 40, 40, 3)),
        ("images", (40, 40, 9), (40, 40, 9)),  # gray ones
        ("images", (2, 40, 40, 3), (2, 40, 40, 3)),
        ("features", (5,), (1, 5)),
        ("features", (2, 5), (2, 5)),
    ):
        assert sequence_of(np.zeros(shape, np.uint8), kind).shape == several
    assert sequence_of(["one"], "texts") == sequence_of("one", "texts") == ["one"]
