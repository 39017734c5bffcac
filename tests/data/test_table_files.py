"""What parts the columns of a table, as spreadsheets, data sets and people write them."""

import pytest

from metric_learning.data import csv
from metric_learning.data.delimited import find_delimiter
from metric_learning.data.table_files import read_table

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


@pytest.mark.parametrize(("encoding", "tab"), [("utf-8-sig", ";"), ("utf-16", "\t")])
def test_what_spreadsheets_leave_around_a_table_is_no_part_of_it(tmp_path, encoding, tab):
    lines = ["sep=" + tab, "Bild;Größe;;".replace(";", tab), "a b.png;7;;".replace(";", tab), tab * 3, "", tab * 3]
    path = tmp_path / "t.csv"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    found = read_table(path, expected=["Bild"])
    assert (found.header, found.rows, found.numbers) == (["Bild", "Größe"], [["a b.png", "7"]], [1])
    path.write_text("a;;\n1;2;3\n")
    with pytest.raises(ValueError, match="column names must be unique, got a, , $"):
        read_table(path)  # columns with something in them are no leftovers
    path.write_bytes("a;ä\n1;2\n".encode("cp1252"))
    with pytest.raises(
        ValueError, match="t.csv is no text in UTF-8: .*; save it as UTF-8, which Excel calls CSV UTF-8"
    ):
        read_table(path)


@pytest.mark.parametrize("cell", ["75,54", "-1,5", "1.234,56"])
def test_a_decimal_comma_parts_no_vector(tmp_path, cell):
    path = tmp_path / "t.csv"
    path.write_text(f"price;size\n{cell};3\n", encoding="utf-8")
    table = read_table(path)
    for numbers in (table.numeric, table.numbers_or_nan):
        with pytest.raises(ValueError, match=f"row 1, counted after the header: '{cell}'; write 1.5 for 1,5"):
            numbers("price", "numeric")
    for vector in ("[75,54]", "75, 54", "0.1,0.7", "1,2,3"):
        path.write_text(f'vector;size\n"{vector}";3\n')
        assert read_table(path).numeric("vector", "features").shape[1] > 1
