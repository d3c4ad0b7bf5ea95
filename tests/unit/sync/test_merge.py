import pytest

from heartbeat_kit.sync._json_tree import MAX_DEPTH
from heartbeat_kit.sync._merge import MAX_BYTES, merge
from heartbeat_kit.sync._merge_text import MAX_LINES

NUMBERED = [b"line %d\n" % number for number in range(200)]


def numbered(**changes):
    """Two hundred lines; ``l3`` stands for the fourth."""
    lines = list(NUMBERED)
    for name, content in changes.items():
        lines[int(name[1:])] = content
    return b"".join(lines)


@pytest.mark.parametrize("path", ["app.conf", "app.json", "blob.bin"])
@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        (b"\xff\x00", b"{{", b"{{", b"{{"),
        (b"\xff\x00", b"\xff\x00", b"{{", b"{{"),
        (b"\xff\x00", b"{{", b"\xff\x00", b"{{"),
        (b"", b"", b"", b""),
        (b"x", b"", b"x", b""),
    ],
)
def test_an_edit_on_one_side_or_the_same_on_both_needs_no_merge(path, base, ours, theirs, merged):
    """Whatever the content is."""
    assert merge(path, base, ours, theirs) == merged


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        pytest.param(b"a\nb\nc\n", b"A\nb\nc\n", b"a\nb\nC\n", b"A\nb\nC\n", id="two lines changed"),
        pytest.param(b"a\nb\nc\n", b"b\nc\n", b"a\nb\n", b"b\n", id="two lines removed"),
        pytest.param(b"a\nb\n", b"0\na\nb\n", b"a\nb\nc\n", b"0\na\nb\nc\n", id="added at both ends"),
        pytest.param(b"a\nb\nc\n", b"X\nb\nc\n", b"X\nb\nC\n", b"X\nb\nC\n", id="one edit of two is the same"),
        pytest.param(b"a\n", b"a\nx\n", b"b\na\nx\n", b"b\na\nx\n", id="the same line added"),
        pytest.param(b"a\nb\n", b"A\nb\n", b"a\nB\n", None, id="neighbours"),
        pytest.param(b"a\nb\n", b"a\nx\nb\n", b"a\ny\nb\n", None, id="added at one place"),
        pytest.param(b"a\nb\n", b"a\nx\nb\n", b"a\nb\nx\n", b"a\nx\nb\nx\n", id="added at two places"),
        pytest.param(b"a\nb\nc\n", b"a\nB\nc\n", b"a\nc\n", None, id="changed and removed"),
        pytest.param(b"a\nb\nc\n", b"a\nc\n", b"a\nb\nx\nc\n", None, id="removed and added behind"),
        pytest.param(b"a\nb\nc\nd\n", b"A\nB\nc\nd\n", b"a\nX\nc\nD\n", None, id="one place of two overlaps"),
        pytest.param(b"", b"a\n", b"b\n", None, id="nothing agreed"),
        # the end of the last line is a part of it
        pytest.param(b"a\nb\nc", b"A\nb\nc", b"a\nb\nc\n", b"A\nb\nc\n", id="their line end"),
        pytest.param(b"a\nb\nc\n", b"A\nb\nc\n", b"a\nb\nc", b"A\nb\nc", id="no line end any more"),
        pytest.param(b"a\nb\nc", b"A\nb\nc", b"a\nb\nC", b"A\nb\nC", id="never a line end"),
        pytest.param(b"a\nb", b"a\nb\nc", b"a\nb\n", None, id="line end and line added"),
        pytest.param(b"a\nb", b"a\nb\n", b"a\nB", None, id="line end and change"),
        # line ends stay as they were written
        pytest.param(b"a\r\nb\r\nc\r\n", b"A\r\nb\r\nc\r\n", b"a\r\nb\r\nC\n", b"A\r\nb\r\nC\n", id="mixed line ends"),
        pytest.param(b"a\nb\nc\n", b"a\r\nb\r\nc\r\n", b"a\nb\nC\n", None, id="all line ends changed"),
        pytest.param(b"a\rb\rc\r", b"A\rb\rc\r", b"a\rb\rC\r", None, id="a carriage return ends no line"),
        # repeated lines: which of them was it
        pytest.param(b"a\na\na\n", b"a\na\na\na\n", b"a\nb\na\na\n", None, id="added to a run that was edited"),
        pytest.param(b"a\na\na\n", b"a\na\n", b"a\nb\na\na\n", None, id="removed from a run that was edited"),
        pytest.param(
            b"a\na\nb\n", b"a\na\na\nb\n", b"a\na\nb\nc\n", b"a\na\na\nb\nc\n", id="a run, and an edit beside"
        ),
        pytest.param(b"x\na\na\n", b"y\na\na\n", b"x\na\na\na\n", b"y\na\na\na\n", id="a run, and an edit before it"),
        pytest.param(
            b"p\np\nq\n", b"p\nA\nq\n", b"T\np\np\nq\nS\nq\n", b"T\np\nA\nq\nS\nq\n", id="the last place counts"
        ),
        pytest.param(b"p\np\nq\n", b"p\nq\n", b"q\np\nq\nq\ns\n", None, id="two edits that could be one"),
        pytest.param(b"p\np\n", b"A\nA\np\np\np\nq\n", b"p\nq\np\n", None, id="two ways to match, two merges"),
        # no text
        pytest.param(b"a\nb\n\xff\n", b"A\nb\n\xff\n", b"a\nb\n\xffc\n", None, id="not UTF-8"),
        pytest.param(b"a\nb\nc\0\n", b"A\nb\nc\0\n", b"a\nb\nc\0d\n", None, id="NUL"),
        pytest.param(b"a\nb\nc\n", b"A\nb\nc\n", b"a\nb\n\xed\xa0\x80\n", None, id="a lone surrogate"),
        pytest.param(b"\xef\xbb\xbfa\nb\nc\n", b"a\nb\nc\n", b"\xef\xbb\xbfa\nb\nC\n", b"a\nb\nC\n", id="mark removed"),
        pytest.param(
            "ä\nb\nö\n".encode(), "Ä\nb\nö\n".encode(), "ä\nb\nÖ\n".encode(), "Ä\nb\nÖ\n".encode(), id="UTF-8"
        ),
    ],
)
def test_text(base, ours, theirs, merged):
    assert merge("app.conf", base, ours, theirs) == merged
    assert merge("app.conf", base, theirs, ours) == merged


def test_far_edits_of_a_long_text():
    ours, theirs = numbered(l3=b"ours\n", l90=b""), numbered(l50=b"theirs\nand more\n", l199=b"end")
    assert merge("a.txt", numbered(), ours, theirs) == numbered(
        l3=b"ours\n", l90=b"", l50=b"theirs\nand more\n", l199=b"end"
    )


def test_a_section_added_below_an_edited_one():
    """The blank line between them is no reason to refuse: where it belongs does not matter here."""
    base = b"[a]\nx = 1\n\n[b]\ny = 1\n"
    ours = b"[a]\nx = 2\n\n[b]\ny = 1\n"
    theirs = b"[a]\nx = 1\n\n[c]\nz = 1\n\n[b]\ny = 1\n"
    merged = b"[a]\nx = 2\n\n[c]\nz = 1\n\n[b]\ny = 1\n"
    assert merge("app.ini", base, ours, theirs) == merge("app.ini", base, theirs, ours) == merged


@pytest.mark.parametrize(("count", "merges"), [(MAX_LINES, True), (MAX_LINES + 1, False)])
def test_the_bound_on_lines(count, merges):
    lines = [b"%d\n" % number for number in range(count)]
    ours, theirs = b"".join([b"x\n", *lines[1:]]), b"".join([*lines[:-1], b"y\n"])
    merged = b"".join([b"x\n", *lines[1:-1], b"y\n"]) if merges else None
    assert merge("a", b"".join(lines), ours, theirs) == merged


@pytest.mark.parametrize("path", ["a.txt", "a.json"])
@pytest.mark.parametrize(("size", "merges"), [(MAX_BYTES, True), (MAX_BYTES + 1, False)])
def test_the_bound_on_bytes(path, size, merges):
    head, tail = b'{"a": 1,\n"long": "', b'",\n"b": 1}'
    base = head + b"x" * (size - len(head) - len(tail)) + tail
    ours, theirs = base.replace(b'"a": 1', b'"a": 2'), base.replace(b'"b": 1', b'"b": 2')
    merged = ours.replace(b'"b": 1', b'"b": 2') if merges else None
    assert merge(path, base, ours, theirs) == merged


def test_texts_that_have_too_little_in_common_are_left_to_a_person():
    """Finding out how they differ would take minutes."""
    there = b"".join(b"%d\n" % number for number in range(10_000))
    back = b"".join(b"%d\n" % number for number in range(9_999, -1, -1))
    mixed = b"".join(b"%d\n" % (number * 7919 % 10_000) for number in range(10_000))
    assert merge("a", there, back, mixed) is None


JSON = [
    pytest.param('{"a": 1, "b": 1}', '{"a": 2, "b": 1}', '{"a": 1, "b": 2}', '{"a": 2, "b": 2}', id="two keys changed"),
    pytest.param('{"a": 1}', '{"a": 1, "b": 2}', '{"a": 1, "c": 3}', '{"a": 1, "c": 3, "b": 2}', id="two keys added"),
    pytest.param('{"a": 1, "b": 2, "c": 3}', '{"b": 2, "c": 3}', '{"a": 1, "b": 2}', '{"b": 2}', id="ends removed"),
    pytest.param('{"a": 1, "b": 2}', '{"a": 1}', '{"b": 2}', "{}", id="all removed"),
    pytest.param(
        '{"a": 1, "b": 2}', '{"b": 2}', '{"a": 1, "b": 2, "c": 3}', '{"b": 2, "c": 3}', id="removed and added"
    ),
    pytest.param('{"a": 1, "b": 2}', '{"a": 1}', "{}", "{}", id="one removed and all removed"),
    pytest.param('{"a": 1, "b": 2}', "{}", '{"a": 1, "b": 2, "c": 3}', '{"c": 3}', id="emptied and added"),
    pytest.param('{"b": 2}', '{"b": 2, "z": 1}', '{"a": 1, "b": 2}', '{"a": 1, "b": 2, "z": 1}', id="added in front"),
    pytest.param('{"a": 1}', '{"a": 2, "b": 1}', '{"a": 2, "c": 1}', '{"a": 2, "c": 1, "b": 1}', id="one change alike"),
    pytest.param(
        '{"o": {"a": 1, "b": [1]}, "x": 1}',
        '{"o": {"a": 1, "b": [2]}, "x": 1}',
        '{"o": {"a": 3, "b": [1]}, "x": 1}',
        '{"o": {"a": 3, "b": [2]}, "x": 1}',
        id="inside an object",
    ),
    pytest.param('{"a": 1}', '{"a": 2}', '{"a": 3}', None, id="one key, two values"),
    pytest.param('{"a": 1, "b": 1}', '{"b": 1}', '{"a": 2, "b": 1}', None, id="removed and changed"),
    pytest.param('{"o": {"a": 1}}', "{}", '{"o": {"a": 1, "b": 1}}', None, id="removed and changed inside"),
    pytest.param("{}", '{"a": 1}', '{"a": 2}', None, id="added with two values"),
    pytest.param("{}", '{"o": {"a": 1}}', '{"o": {"b": 1}}', None, id="two objects added"),
    pytest.param('{"l": [1, 2]}', '{"l": [1, 2, 3]}', '{"l": [0, 1, 2]}', None, id="two lists"),
    pytest.param('{"o": {"a": 1}}', '{"o": [1]}', '{"o": {"a": 2}}', None, id="another type and changed"),
    pytest.param('{"a": 1, "b": 1}', '{"a": "1", "b": 1}', '{"a": 1, "b": 2}', '{"a": "1", "b": 2}', id="another type"),
    pytest.param(
        '{"a": 1, "b": 1}', '{"a": true, "b": 1}', '{"a": 1, "b": 2}', '{"a": true, "b": 2}', id="true, not 1"
    ),
    pytest.param('{"a": 0, "b": 1}', '{"a": false, "b": 1}', '{"a": null, "b": 1}', None, id="false, null and 0"),
    pytest.param("1", "2", "3", None, id="no object"),
    pytest.param("[1]", "[1, 2]", "[1, 3]", None, id="no object but lists"),
    # numbers are what is written
    pytest.param('{"a": 1, "b": 1}', '{"a": 1.0, "b": 1}', '{"a": 1, "b": 2}', '{"a": 1.0, "b": 2}', id="1.0 is not 1"),
    pytest.param('{"a": 1}', '{"a": 1.0}', '{"a": 1e0}', None, id="1.0 is not 1e0"),
    pytest.param(
        '{"a": 0, "b": 0}',
        '{"a": 0.1000000000000000055511151231257827, "b": 0}',
        '{"a": 0, "b": %s}' % ("9" * 5000),
        '{"a": 0.1000000000000000055511151231257827, "b": %s}' % ("9" * 5000),
        id="many digits",
    ),
    pytest.param(
        '{"a": 0, "b": 0}', '{"a": 1e999, "b": 0}', '{"a": 0, "b": -0}', '{"a": 1e999, "b": -0}', id="beyond floats"
    ),
    # what carries no meaning is kept as ours has it
    pytest.param('{"a":1,"b":2}', '{ "b": 2, "a": 1 }', '{"a":1,"b":3}', '{ "b": 3, "a": 1 }', id="order and space"),
    pytest.param(
        '{"a": "é"}', '{"a": "\\u00e9"}', '{"a": "é", "b": "ö"}', '{"a": "\\u00e9", "b": "\\u00f6"}', id="ascii"
    ),
    pytest.param(
        '{"a": "\\/"}',
        '{"a": "\\/", "b": 1}',
        '{"a": "\\/", "c": "\\/"}',
        '{"a": "\\/", "c": "\\/", "b": 1}',
        id="slash",
    ),
    pytest.param(
        '{"a": 1}',
        '{"a": 1, "b": "\\ud800"}',
        '{"a": 1, "c": "😀"}',
        '{"a": 1, "c": "\\ud83d\\ude00", "b": "\\ud800"}',
        id="a lone surrogate",
    ),
    pytest.param(
        '{"a":1}', '{"a":1,"b":2}', '{\n  "a": 1,\n  "c": [\n    1\n  ]\n}', '{"a":1,"c":[1],"b":2}', id="folded"
    ),
    pytest.param(
        '{"a": 1}\n',
        '{\n  "a": 1,\n  "b": 2\n}\n',
        '{\n\t"a": 1,\n\t"c": {\n\t\t"d": 1\n\t}\n}\n\n',
        '{\n  "a": 1,\n  "c": {\n    "d": 1\n  },\n  "b": 2\n}\n',
        id="indentation",
    ),
    pytest.param(
        '{\r\n  "a": 1\r\n}',
        '{\r\n  "a": 1,\r\n  "b": 2\r\n}',
        '{\n  "a": 1,\n  "c": [\n    1\n  ]\n}',
        '{\r\n  "a": 1,\r\n  "c": [\r\n    1\r\n  ],\r\n  "b": 2\r\n}',
        id="line ends",
    ),
    pytest.param(
        '{\n  "a": 1,\n  "b": [1, 2]\n}\n',
        '{\n  "a": 1,\n  "b": [1, 2],\n  "c": 1\n}\n',
        '{\n  "a": 1,\n  "b": [1, 2],\n  "d": 1\n}\n',
        '{\n  "a": 1,\n  "b": [1, 2],\n  "d": 1,\n  "c": 1\n}\n',
        id="both append",
    ),
    pytest.param(
        '{\n  "o": {}\n}',
        '{\n  "o": {"x": 1}\n}',
        '{\n  "o": {"y": 1}\n}',
        '{\n  "o": {"y": 1,"x": 1}\n}',
        id="first keys",
    ),
    pytest.param("{}", '{ "x" : 1 }', '{"y":1, "z":2}', '{ "y" : 1, "z" : 2, "x" : 1 }', id="their spaces, our colons"),
    pytest.param(
        '{\n  "a": 1,\n  "b": 1\n}', "{}", '{\n  "a": 1,\n  "b": 1,\n  "c": 1\n}', '{"c": 1}', id="nothing of ours"
    ),
    pytest.param('{"a": 1, "b": 2}', '{"a": 1}', '{"a": 1, "b": 2, "c": 3}', '{"a": 1, "c": 3}', id="last, then new"),
    pytest.param(
        '{\n  "a": 1,\n  "b": 1\n}\n',
        '{\n  "a": 1,\n  "b": 2\n}\n',
        '{\n  "a": 1,\n  "b": 1,\n  "c": 1\n}\n',
        '{\n  "a": 1,\n  "b": 2,\n  "c": 1\n}\n',
        id="appended to an edited last line",
    ),
    pytest.param(
        '{\n  "a": 1\n}', '{\n  "a": 2\n}', '{"a": 1, "b": 1}', '{\n  "a": 2,\n  "b": 1\n}', id="appended to one line"
    ),
    pytest.param('{"a":1,"b":1}', '{"a":1 ,"b":2 }', '{"a":1,"b":1,"c":1}', '{"a":1 ,"b":2,"c":1 }', id="space behind"),
    pytest.param('{"a":1}', '\n {"a":1,"b":1}', '\t{"a":1,"c":1} ', '\n {"a":1,"c":1,"b":1}', id="space around"),
    pytest.param(
        '{"a": "\\u00e9"}',
        '{"a": "\\u00e9", "é": 1}',
        '{"a": "\\u00e9", "ö": 1}',
        '{"a": "\\u00e9", "ö": 1, "é": 1}',
        id="escapes and letters",
    ),
    pytest.param('{"a": "x"}', '{"a": "x", "b": 1}', '{"a": "x", "ö": 1}', '{"a": "x", "ö": 1, "b": 1}', id="letters"),
    pytest.param(
        '{"a": "\\u00e9"}',
        '{"a": "\\u00e9", "b": 1}',
        '{"a": "é", "ö": 1}',
        '{"a": "\\u00e9", "\\u00f6": 1, "b": 1}',
        id="a key of letters",
    ),
    pytest.param(
        '{\n  "a": 1\n}',
        '{\n  "a": 1,\n  "b": 2\n}',
        '{\r\n\t"a": 1,\r\n\t"c": [1,\r\n\t\t   2,\r\n\t\t   3]\r\n}',
        '{\n  "a": 1,\n  "c": [1,\n       2,\n       3],\n  "b": 2\n}',
        id="their line ends and columns",
    ),
    pytest.param(
        '{"a": 1}',
        '{\n  "a": 1,\n  "b": 2\n}',
        '{\n"a": 1,\n"c": [\n1\n]\n}',
        '{\n  "a": 1,\n  "c": [\n1\n],\n  "b": 2\n}',
        id="they indent nothing",
    ),
    # the text merge is preferred where it says the same
    pytest.param(
        '{\n"a": 1,\n"x":   0,\n"b": 1\n}',
        '{\n"a": 2,\n"x":   0,\n"b": 1\n}',
        '{\n"a": 1,\n"x":   0,\n"b":  1\n}',
        '{\n"a": 2,\n"x":   0,\n"b":  1\n}',
        id="their spacing",
    ),
    pytest.param(
        '{\n"x": 0,\n"y": 0,\n"z": 0\n}',
        '{\n"x": 0,\n"n": 1,\n"y": 0,\n"z": 0\n}',
        '{\n"x": 0,\n"y": 0,\n"n": 1,\n"z": 0\n}',
        '{\n"x": 0,\n"n": 1,\n"y": 0,\n"z": 0\n}',
        id="text would repeat a key",
    ),
    pytest.param(
        '{"l": [\n1,\n2,\n3\n]}', '{"l": [\n0,\n2,\n3\n]}', '{"l": [\n1,\n2,\n4\n]}', None, id="text would merge a list"
    ),
    # not sound
    pytest.param('{"a": 1, "a": 2}', '{"a": 1}', '{"a": 2}', None, id="a key twice"),
    pytest.param('{"a": [{"b": 1, "b": 1}]}', '{"c": 1}', '{"a": 2}', None, id="a key twice inside a list"),
    pytest.param('{"a": 1}', '{"a": NaN}', '{"a": 1, "b": 1}', None, id="NaN"),
    pytest.param('{"a": 1}', '{"a": 1, "b": -Infinity}', '{"a": 1, "c": 1}', None, id="infinity"),
    pytest.param('{"a": 1}', "{a: 1}", '{"a": 1, "b": 1}', None, id="no JSON"),
    pytest.param('{"a": 1}', "", '{"a": 1, "b": 1}', None, id="empty"),
    pytest.param('{"a": 1}', '{"a": 1} {}', '{"a": 1, "b": 1}', None, id="two documents"),
    pytest.param('{"a": 1}', '\ufeff{"a": 1}', '{"a": 1, "b": 1}', None, id="a byte order mark"),
    pytest.param('{"a": 1}', '{"a": "\n"}', '{"a": 1, "b": 1}', None, id="a line end in a string"),
]


@pytest.mark.parametrize(("base", "ours", "theirs", "merged"), JSON)
@pytest.mark.parametrize("path", ["etc/app.json", "APP.JSON"])
def test_json(path, base, ours, theirs, merged):
    found = merge(path, base.encode(), ours.encode(), theirs.encode())
    assert (None if found is None else found.decode()) == merged


@pytest.mark.parametrize("bad", [b'{"a": "\xff"}', b"\xff\xfe{\x00}\x00", b'{"a": "\xed\xa0\x80"}'])
@pytest.mark.parametrize("place", range(3))
def test_json_that_is_not_utf_8(bad, place):
    versions = [b'{"a": 1}', b'{"a": 1, "b": 1}', b'{"a": 1, "c": 1}']
    versions[place] = bad
    assert merge("a.json", *versions) is None


@pytest.mark.parametrize(("depth", "merges"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False), (200_000, False)])
@pytest.mark.parametrize(("opening", "core", "closing"), [('{"o":', "{}", "}"), ("[", "[]", "]")])
def test_the_bound_on_nesting(depth, merges, opening, core, closing):
    """The document itself, and its core, count as well; brackets in a string do not."""
    deep = opening * (depth - 2) + core + closing * (depth - 2)
    base = f'{{"deep": {deep}, "a": "{"[" * MAX_DEPTH}", "b": 1}}'
    ours, theirs = base.replace("[" * MAX_DEPTH + '"', ']"'), base.replace('"b": 1', '"b": 2')
    merged = ours.replace('"b": 1', '"b": 2').encode() if merges else None
    assert merge("a.json", base.encode(), ours.encode(), theirs.encode()) == merged


@pytest.mark.parametrize("path", ["a.json5", "a.jsonl", "json", "a.json.bak", ""])
def test_only_the_suffix_makes_it_json(path):
    assert merge(path, b"{\nx\n}\n", b"{{\nx\n}\n", b"{\nx\n}}\n") == b"{{\nx\n}}\n"


def test_a_long_run_of_spaces_costs_nothing():
    spaces = " " * (MAX_BYTES // 2)
    theirs = f'{{"a": 1, "b": "{spaces}"}}'
    merged = merge("a.json", b'{"a": 1}', b'{"a": 2}', theirs.encode())
    assert merged == theirs.replace('"a": 1', '"a": 2').encode()
