"""What people have, in its order."""

import numpy as np
import pytest

from metric_learning.data.column_ids import ColumnIds
from metric_learning.data.raw_items import ids_of, sequence_of
from metric_learning.index import Index, fill


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
