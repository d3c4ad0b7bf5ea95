import json
import random
import shutil
import subprocess
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heartbeat_kit.sync._diff import diff
from heartbeat_kit.sync._merge import merge

paths = st.sampled_from(["app.conf", "app.json", "APP.JSON"])
scraps = st.sampled_from(
    [
        *(
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b",",
            b'"',
            b'"a"',
            b'"b"',
            b'{"a":',
            b"1",
            b"-",
            b"1e999",
            b"9" * 5000,
            b"1.0",
        ),
        *(b"NaN", b"-Infinity", b"null", b'"\\ud800"', b"\\", b"\xed\xa0\x80", b"\xff", b"\xef\xbb\xbf", b"\0", b"\n"),
        *(b"\r\n", b"\r", b" ", b"[" * 2000, b'{"a":' * 2000, b"}" * 2000, "\u2028\x85\x0c".encode()),
    ]
)
contents = st.binary(max_size=40) | st.lists(scraps, max_size=12).map(b"".join) | st.text(max_size=20).map(str.encode)
# Few different lines, so that runs, moves and repetitions abound.
repetitive = st.lists(st.sampled_from([b"\n", b"a\n", b"b\n", b"c\r\n"]), max_size=12)
line_ends = st.sampled_from([b"", b"tail"])


@st.composite
def edits_of(draw, base):
    """The lines with some removed, replaced or added; new lines are of a kind that no base has."""
    made, new = [], st.lists(st.integers(0, 3).map(lambda number: b"new %d\n" % number), max_size=2)
    for line in base:
        kind = draw(st.sampled_from(["keep", "keep", "keep", "keep", "drop", "replace", "add"]))
        made += draw(new) if kind in ("replace", "add") else []
        made += [line] if kind in ("keep", "add") else []
    return made + draw(st.just([]) | new)


@st.composite
def edited_texts(draw):
    """A text of different lines, and two edits of it."""
    base = [b"line %d\n" % number for number in range(draw(st.integers(0, 10)))]
    texts = [base, draw(edits_of(base)), draw(edits_of(base))]
    return tuple(b"".join(text) + draw(line_ends) for text in texts)


def lines(content):
    return content.splitlines(keepends=True)


@given(paths, contents, contents, contents)
@example("a.json", b'{"a": 1}', b'{"a": "\\ud800"}', b'{"a": 1, "b": 2}')
@example("a.json", b'{"a": 1}', b'{"a": %s}' % (b"9" * 5000), b'{"a": 1, "b": 2}')
def test_total_and_symmetric(path, base, ours, theirs):
    """Any bytes give a merge or none; which side is ours changes the form of JSON alone."""
    one, other = merge(path, base, ours, theirs), merge(path, base, theirs, ours)
    assert (one is None) == (other is None)
    assert one == other or read(one) == read(other)


@given(paths, contents, contents)
def test_identity(path, base, edit):
    assert merge(path, base, edit, base) == merge(path, base, base, edit) == merge(path, base, edit, edit) == edit


@given(repetitive, repetitive, repetitive, st.tuples(line_ends, line_ends, line_ends))
def test_text_invents_nothing(base, ours, theirs, ends):
    base, ours, theirs = (b"".join(text) + end for text, end in zip((base, ours, theirs), ends, strict=True))
    merged = merge("a", base, ours, theirs)
    assert merged == merge("a", base, theirs, ours)
    if merged is not None:
        assert set(lines(merged)) <= {*lines(base), *lines(ours), *lines(theirs)}


@given(repetitive, repetitive, repetitive, repetitive, repetitive)
def test_edits_of_far_parts_are_both_there(head, new_head, middle, tail, new_tail):
    fence = [b"fence %d\n" % number for number in range(3)]
    base, ours, theirs, both = (
        b"".join([*first, *fence, *middle, *fence[::-1], *last])
        for first, last in ((head, tail), (new_head, tail), (head, new_tail), (new_head, new_tail))
    )
    assert merge("a", base, ours, theirs) == both


@given(repetitive, repetitive)
def test_the_difference_makes_the_one_of_the_other(old, new):
    made, done, there = [], 0, 0
    for place, hunk in enumerate(diff(old, new)):
        assert place == 0 or hunk.start > done, "two edits touch"
        assert hunk.lowest <= hunk.start
        kept = old[done : hunk.start]
        assert kept == new[there : hunk.new_start]
        made += kept + new[hunk.new_start : hunk.new_end]
        done, there = hunk.end, hunk.new_end
    assert made + old[done:] == new


distinct = st.lists(st.sampled_from([b"%d\n" % number for number in range(9)]), unique=True)


@given(distinct, distinct)
def test_the_difference_is_the_shortest(old, new):
    """No line twice, so that no edit has two places and is joined with another one."""
    assert len(old) - sum(hunk.end - hunk.start for hunk in diff(old, new)) == common_length(old, new)


def common_length(old, new):
    row = [0] * (len(new) + 1)
    for line in old:
        above = row
        row = [0]
        for place, other in enumerate(new):
            row.append(above[place] + 1 if line == other else max(above[place + 1], row[place]))
    return row[-1]


# JSON, against a merge of plain values that knows nothing of texts.

keys = st.sampled_from(["a", "b", "c", "é", "\ud800", ""])
leaves = st.sampled_from(
    [None, True, False, 0, 1, 1.0, -0.0, 1e300, 10**30, "", "1", "é", "😀", "\udc00", [], [1, {"a": 2}]]
)
values = st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=5), max_leaves=12)
forms = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 2, 4, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (" , ", " : ")]),
        "ensure_ascii": st.booleans(),
    }
)
GONE = object()


@st.composite
def changed(draw, value):
    if isinstance(value, dict) and draw(st.integers(0, 5)):
        edit = {}
        for key, inner in value.items():
            kind = draw(st.sampled_from(["keep", "keep", "keep", "change", "drop"]))
            if kind != "drop":
                edit[key] = inner if kind == "keep" else draw(changed(inner))
        if draw(st.booleans()):
            edit |= draw(st.dictionaries(keys, leaves, max_size=2))
        return dict(draw(st.permutations(list(edit.items()))))
    return draw(leaves)


@st.composite
def documents(draw):
    base = draw(values)
    versions = (base, draw(changed(base)), draw(changed(base)))
    return tuple(written(version, **draw(forms)) + draw(st.sampled_from(["", "\n", "\r\n"])) for version in versions)


def written(value, *, ensure_ascii, **form):
    text = json.dumps(value, ensure_ascii=ensure_ascii, **form)
    if ensure_ascii:
        return text
    return "".join(f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char for char in text)


def read(text):
    """Numbers as they are written, and every value told from every other by ``==``."""

    def literal(number):
        return ("number", number)

    return json.loads(text, parse_int=literal, parse_float=literal)


def three_way(base, ours, theirs):
    if theirs in (ours, base):
        return ours
    if base == ours:
        return theirs
    if not all(isinstance(version, dict) for version in (base, ours, theirs)):
        raise ValueError
    every = {key: three_way(*(v.get(key, GONE) for v in (base, ours, theirs))) for key in base | ours | theirs}
    return {key: value for key, value in every.items() if value is not GONE}


@settings(max_examples=300, deadline=None)
@given(documents())
def test_json_is_merged_key_by_key(texts):
    base, ours, theirs = texts
    merged = merge("a.json", *(text.encode() for text in texts))
    try:
        expected = three_way(*map(read, texts))
    except ValueError:
        assert merged is None or base in (ours, theirs) or ours == theirs
        return
    assert merged is not None
    assert read(merged) == expected
    other = merge("a.json", base.encode(), theirs.encode(), ours.encode())
    assert read(other) == expected


# Text, against git.

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git_merge(folder, base, ours, theirs):
    names = []
    for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
        (folder / name).write_bytes(content)
        names.append(str(folder / name))
    ran = subprocess.run(["git", "merge-file", "-p", "-q", *names], capture_output=True, check=False, cwd=folder)
    assert 0 <= ran.returncode < 128, ran.stderr
    return ran.stdout if ran.returncode == 0 else None


@needs_git
@settings(max_examples=150, deadline=None)
@given(texts=edited_texts())
def test_as_git_where_lines_tell_themselves_apart(texts, tmp_path_factory):
    """The very same merges, and the very same conflicts."""
    base, ours, theirs = texts
    merged = merge("a", base, ours, theirs)
    if base in (ours, theirs) or ours == theirs:
        return
    assert merged == git_merge(folder(tmp_path_factory), base, ours, theirs)


@needs_git
def test_as_git_where_lines_repeat(tmp_path):
    """Where both merge, alike; where only one does, it is git, apart from rare different matches of repeated lines."""
    rng, seen = random.Random(7), Counter()
    for _ in range(400):
        base = [rng.choice(b"abcdefgh") for _ in range(rng.randint(4, 14))]
        versions = []
        for text in (base, list(base), list(base)):
            for _ in range(rng.randint(1, 2) if versions else 0):
                at = rng.randrange(len(text) - 1)
                text[at : at + rng.randint(0, 1)] = rng.choices(b"abcdefgh", k=rng.randint(0, 2))
            versions.append(b"".join(b"%c\n" % line for line in text))
        merged, by_git = merge("a", *versions), git_merge(tmp_path, *versions)
        assert None in (merged, by_git) or merged == by_git, versions
        seen[merged is not None, by_git is not None] += 1
    assert seen[True, True] > 150
    assert seen[False, True] < 30
    assert seen[True, False] < 5


def folder(tmp_path_factory, made=[]):  # noqa: B006 - one folder for all examples
    if not made:
        made.append(tmp_path_factory.mktemp("git"))
    return made[0]
