"""Names and patterns: the quick ways against slow ones that are plain to see."""

import unicodedata
from functools import lru_cache

from hypothesis import example, given
from hypothesis import strategies as st

from heartbeat_kit.sync import _paths
from heartbeat_kit.sync._paths import collisions, path_problem
from heartbeat_kit.sync._selection import Selection, compile_glob

names = st.text(alphabet="aAb.", min_size=1, max_size=4)
paths = st.lists(names, min_size=1, max_size=5).map("/".join)
components = st.one_of(
    st.lists(
        st.sampled_from(["a", "A", "b", ".", "*", "?", "**", "[ab]", "[!a]", "[A-a]"]), min_size=1, max_size=4
    ).map("".join),
    st.sampled_from(["*", "**", "***"]),
).filter(lambda component: component not in {".", ".."})
patterns = st.builds(
    lambda start, parts, end: start + "/".join(parts) + end,
    st.sampled_from(["", "", "./"]),
    st.lists(components, min_size=1, max_size=4),
    st.sampled_from(["", "", "/"]),
)


@lru_cache(maxsize=100_000)
def fits(pattern, text, at_start=True):
    """One step at a time, trying every way a wildcard can go."""
    if not pattern:
        return not text
    if pattern.startswith("***"):
        return fits(pattern[1:], text, at_start)
    if at_start and pattern.startswith("**/"):
        rests = [text, *(text[i + 1 :] for i in range(len(text)) if text[i] == "/")]
        return any(fits(pattern[3:], rest) for rest in rests)
    if pattern.startswith("**"):
        return any(fits(pattern[2:], text[i:], False) for i in range(len(text) + 1))
    if pattern[0] == "*":
        return any(fits(pattern[1:], text[i:], False) for i in range(len(text) + 1) if "/" not in text[:i])
    if not text:
        return False
    if pattern[0] == "?":
        return text[0] != "/" and fits(pattern[1:], text[1:], False)
    if pattern[0] == "[":
        end = pattern.index("]", 2)
        among = {"[ab]": "ab", "[!a]": "Ab.", "[A-a]": "Aa"}[pattern[: end + 1]]
        return text[0] in among and fits(pattern[end + 1 :], text[1:], False)
    return pattern[0] == text[0] and fits(pattern[1:], text[1:], text[0] == "/")


def obviously_matches(pattern, path):
    body = pattern.removesuffix("/")
    parts = path.split("/")
    matched = range(1, len(parts) + (body == pattern))
    starts = [0] if "/" in body else range(len(parts))
    body = body.removeprefix("./")
    return any(fits(body, "/".join(parts[start:end])) for end in matched for start in starts if start < end)


@given(patterns, paths)
@example("**a*b", "a/ab")
@example("*ab*ab", "ab/abab")
@example("a**", "a/b")
@example("x*/y*z", "x/yz/yz")
@example("**/", "a")
def test_a_pattern_matches_what_the_slow_matcher_matches(pattern, path):
    assert compile_glob(pattern)(path) == obviously_matches(pattern, path)


@given(st.lists(patterns, min_size=1, max_size=3), st.lists(patterns, max_size=3), paths)
def test_covered_is_included_and_not_excluded(include, exclude, path):
    expected = any(obviously_matches(pattern, path) for pattern in include) and not any(
        obviously_matches(pattern, path) for pattern in exclude
    )
    assert Selection(include=include, exclude=exclude).covers(path) == expected


@given(st.lists(patterns, min_size=1, max_size=3), st.lists(patterns, max_size=3), st.lists(paths, max_size=20))
def test_no_directory_on_the_way_to_a_covered_path_is_pruned(include, exclude, tree):
    selection = Selection(include=include, exclude=exclude)
    for path in filter(selection.covers, tree):
        parts = path.split("/")
        assert all(selection.may_hold("/".join(parts[:end])) for end in range(len(parts)))


ordinary = st.text(alphabet="aN.uLcom1 -_~%#=,+@/", max_size=12)
words = st.sampled_from(
    [
        *("con", "nul", "COM1", "lpt", "9", ".", "..", " ", "/", "a", "-", "é"),
        *(".hbk-", ".HBK-", "hbk", ".heartbeat-kit-root"),
        *(".conflict1", "_conflict-20240101-101112", ".sync-conflict-20240101-101112", "(conflicted copy 2024-01-01)"),
    ]
)


@given(st.one_of(ordinary, st.lists(words, max_size=6).map("".join), st.text(max_size=8)))
def test_the_quick_judgement_of_a_path_is_the_slow_one(path):
    assert path_problem(path) == _paths._problem_of_path(path)


@given(st.text(alphabet=st.sampled_from("aé\u0301e\ud800\u202e\x00\\/:. ¹²com"), max_size=10))
def test_an_accepted_path_has_one_spelling_and_stays_inside(path):
    if path_problem(path) is None:
        assert unicodedata.is_normalized("NFC", path)
        assert path.encode().decode() == path
        assert not {"", ".", ".."} & set(path.split("/"))
        assert not set("\\:\0\u202e") & set(path)


letters = st.sampled_from(["a", "A", "b", "é", "É", "e\u0301", "ß", "ss", "\u200b", "K", "\u212a"])
trees = st.lists(st.lists(letters, min_size=1, max_size=3).map("/".join), max_size=10)


def obviously_collide(first, second):
    def folded(text):
        return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text.replace("\u200b", "")).casefold())

    one, other = first.split("/"), second.split("/")
    for depth in range(1, min(len(one), len(other)) + 1):
        if [folded(name) for name in one[:depth]] != [folded(name) for name in other[:depth]]:
            return False
        if one[:depth] != other[:depth] or (len(one) == depth) != (len(other) == depth):
            return True
    return False


@given(trees)
def test_who_collides_with_whom_is_found_as_the_slow_way_finds_it(tree):
    found = collisions(tree)
    for path in tree:
        partners = {other for other in tree if other != path and obviously_collide(path, other)}
        assert (path in found) == bool(partners)
        assert partners <= set(found.get(path, ()))


@given(trees, st.randoms(use_true_random=False))
def test_collisions_are_the_same_for_all_of_a_group_in_any_order(tree, random):
    found = collisions(tree)
    shuffled = tree[:]
    random.shuffle(shuffled)
    assert collisions(shuffled) == found
    for path, group in found.items():
        assert path in group
        assert list(group) == sorted(set(group))
        assert len(group) > 1
        assert all(found[member] == group for member in group)
    assert collisions(path for path in tree if path not in found) == {}
