"""What parts the columns of a table, as spreadsheets, data sets and people write them."""

import pytest

from metric_learning.data import csv
from metric_learning.data.table_files import find_delimiter

WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]


@pytest.mark.parametrize(
    ("header", "line", "delimiter"),
    [
        ("text,label", "{text},{label}", ","),
        ("text;label", "{text};{label}", ";"),
        ("text\tlabel", "{text}\t{label}", "\t"),
        ("label|text|by", "{label}|{text}|x, y; z", "|"),
        ("text label", '"{text}" {label}', " "),
        ("text , label", "{text} , {label}", ","),
        ('"text";"label"', '"{text}, {text}";{label}', ";"),
        # Names with other delimiters, or more of them, in their columns.
        ("text;label;a,b,c,d", "{text};{label};0", ";"),
        ("text\tlabel\tmy own note", "{text}\t{label}\tn", "\t"),
        ('"te,xt;1",text,label', "x,{text},{label}", ","),
        ("\n\ntext;label", "{text};{label}", ";"),
    ],
)
def test_delimiter_is_found_by_the_header(tmp_path, header, line, delimiter):
    lines = [line.format(text=f"{word} {i}", label=word) for word in WORDS for i in range(2)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join([header, *lines]))
    assert find_delimiter(path, ("text", "label", "split", "image")) == delimiter
    source = csv(path)
    assert source.class_names == tuple(WORDS)
    names = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", " ": "space"}
    for named in (names[delimiter], delimiter):
        assert csv(path, delimiter=named).test.captions == source.test.captions


def test_delimiter_is_found_for_columns_of_other_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a, note;word;kind\n" + "\n".join(f"1, 2;{w} {i};{w}" for w in WORDS for i in range(2)))
    assert csv(path, text="word", label="kind").class_names == tuple(WORDS)
    with pytest.raises(ValueError, match="no column image, path, text or features.* columns are a, note, word, kind"):
        csv(path, label="kind")


def test_escaped_tab_is_a_tab_and_more_than_a_character_is_refused(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("text\tlabel\n" + "\n".join(f"{w} {i}\t{w}" for w in WORDS for i in range(2)))
    assert csv(path, delimiter="\\t").class_names == tuple(WORDS)
    for wrong in ("", "tabs", '"', "\n", 5):
        with pytest.raises(ValueError, match="data.delimiter must be one character, or one of comma, semicolon, tab"):
            csv(path, delimiter=wrong)
    with pytest.raises(ValueError, match="line 3: expected 1 columns .* got 2; .* parted by comma, unless data.delim"):
        path.write_text("text\na\nb,c\n")
        csv(path)
