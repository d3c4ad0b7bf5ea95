"""The pattern language, and what a selection covers, prunes and is known by."""

import pickle
import re
import time

import pytest

from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.sync._selection import Selection, compile_glob

MATCHES = [
    ("**", "a a/b .hidden/x", ""),
    ("*", "a a/b .hidden/x", ""),
    ("***", "a a/b", ""),
    ("**/**", "a a/b", ""),
    ("*.json", "a.json x/y/a.json .json a.json/b a.b.json", "a.jsonx ajson json A.JSON"),
    ("a", "a x/a a/b x/a/b/c", "ab xa A x/ab"),
    ("cache/", "cache/x a/cache/x cache/x/y", "cache a/cache mycache/x"),
    ("*/", "a/b a/b/c", "a"),
    ("**/", "a/b a/b/c", "a"),
    ("etc/*.ini", "etc/a.ini etc/.ini etc/a.ini/b", "x/etc/a.ini etc/x/a.ini a.ini etc"),
    ("etc/app", "etc/app etc/app/x", "etc x/etc/app etc/app2"),
    ("etc/app/", "etc/app/x etc/app/x/y", "etc/app x/etc/app/x"),
    ("./a.ini", "a.ini a.ini/b", "x/a.ini"),
    ("./a/", "a/b", "a x/a/b"),
    ("etc/**", "etc/a etc/x/y", "etc x/etc/a etcx/a"),
    ("etc/**/", "etc/x/y etc/x/y/z", "etc etc/a"),
    ("**/a", "a x/a x/y/a x/a/b", "xa"),
    ("**/a/*.b", "a/x.b x/y/a/z.b", "a/x/z.b a/xb"),
    ("a/**/b", "a/b a/x/b a/x/y/b a/x/b/c", "ab a/xb x/a/b a"),
    ("a/**/b/**/c", "a/b/c a/x/b/y/z/c a/b/b/c", "a/c a/b a/c/b"),
    ("a/**/*", "a/b a/b/c", "a"),
    ("*/a", "x/a x/a/b", "a x/y/a"),
    ("etc/*/b", "etc/x/b etc/x/b/c", "etc/b etc/x/y/b"),
    ("etc/***/b", "etc/b etc/x/b etc/x/y/b", "b etc/xb"),
    ("a**b", "ab axb a/b x/a/1/b", "a b ba"),
    ("etc/**.json", "etc/a.json etc/x/y/a.json", "a.json x/etc/a.json"),
    ("etc/a**/b", "etc/a/b etc/ax/y/b", "etc/b etc/ab"),
    ("**a*b", "aab a/ab x/acb", "a/b ba"),
    ("x*/y*z", "x/yz xx/y1z x/yzz x/yz/a", "x/a/yz xyz a/x/yz"),
    ("?", "a x/a é", "ab"),
    ("l?g*", "log lag1 x/log", "l/g lg llog"),
    ("??/?", "ab/c", "a/b abc/d abc"),
    ("a[0-9_]", "a7 a_ x/a0", "ab a a77"),
    ("a[!0-9]", "ab a- x/ax", "a7 a a/"),
    ("a[!b]c", "axc", "a/c abc"),
    ("a[+-9]c", "a+c a0c", "a/c"),
    ("[]a]", "] a", "b []a]"),
    ("[!]a]", "b", "] a"),
    ("[[]*[]]", "[x] []", "[x x]"),
    ("[*]", "*", "a"),
    ("[?]", "?", "a"),
    ("[a-]", "a -", "b"),
    ("[-a]", "a -", "b"),
    ("[a-a]", "a", "b -"),
    ("[a&&b]", "a & b", "c"),
    ("[.]", ".", "a"),
    ("a.b", "a.b", "axb"),
    ("a+(b|c)$^", "a+(b|c)$^", "aab"),
    ("{a,b}", "{a,b}", "a b"),
    ("#a", "#a x/#a", "a"),
    ("a]", "a]", "a"),
    ("é", "é x/é", "e"),
    ("*a*a*b", "aab xaxaxb aaab", "ab aa aabx"),
    ("*ab*ab", "abab ab1ab abxab xab/abab", "ab ab/ab aba"),
    ("*.tar.gz", "a.tar.gz .tar.tar.gz", "a.tar"),
]


@pytest.mark.parametrize(("pattern", "yes", "no"), MATCHES)
def test_what_a_pattern_matches(pattern, yes, no):
    matches = compile_glob(pattern)
    assert [path for path in yes.split() if not matches(path)] == []
    assert [path for path in no.split() if matches(path)] == []


@pytest.mark.parametrize(("pattern", "yes", "no"), MATCHES)
def test_a_selection_speaks_the_same_language(pattern, yes, no):
    included, excluded = Selection(include=pattern), Selection(exclude=pattern)
    for path in yes.split():
        assert included.covers(path)
        assert not excluded.covers(path)
    for path in no.split():
        assert not included.covers(path)
        assert excluded.covers(path) or path == "a/"


def test_line_breaks_in_a_name_are_characters_like_others():
    assert compile_glob("a*b")("a\nb")
    assert compile_glob("a?b")("x/a\nb")
    assert compile_glob("a**b")("a/\nb")
    assert compile_glob("a\nb")("a\nb")
    assert not compile_glob("a\nb")("ab")
    assert not compile_glob("a")("a\n")


def test_spaces_in_a_pattern_are_characters_like_others():
    assert compile_glob("a b")("x/a b")
    assert not compile_glob("a b")("ab")


def test_a_pattern_is_brought_to_the_normal_form_of_paths():
    assert compile_glob("re\u0301sume\u0301")("résumé")
    assert Selection(include="re\u0301sume\u0301") == Selection(include="résumé")


def test_everything_is_covered_by_default():
    assert Selection().covers("any/thing")
    assert Selection() == Selection(include="**", exclude=[])


def test_one_pattern_or_several_are_accepted():
    assert Selection(include="*.json").include == ("*.json",)
    assert Selection(include=["a", "b"]).include == ("a", "b")
    assert Selection(exclude=(pattern for pattern in ("a", "b"))).exclude == ("a", "b")


def test_excludes_win():
    selection = Selection(include=["*.json", "etc/**", "keep/a.log"], exclude=["*.log", "etc/private/"])
    assert [
        path
        for path in ("a.json", "etc/x", "etc/private/a.json", "keep/a.log", "a.txt", "etc/private", "a.log/x.json")
        if selection.covers(path)
    ] == ["a.json", "etc/x", "etc/private"]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "empty"),
        ("/", "absolute"),
        ("/etc", "absolute"),
        ("//a", "absolute"),
        ("C:/a", "absolute"),
        ("c:a", "absolute"),
        ("a\\b", "backslash"),
        ("a\\*", "backslash"),
        ("..", "'..'"),
        ("../a", "'..'"),
        ("a/../b", "'..'"),
        ("a/..", "'..'"),
        (".", "'.'"),
        ("./", "'.'"),
        ("././a", "'.'"),
        ("a/./b", "'.'"),
        ("a//b", "empty part"),
        ("a//", "empty part"),
        ("!a", "nothing takes an exclude back"),
        ("a[b", "'[' without ']'"),
        ("[]", "'[' without ']'"),
        ("[!]", "'[' without ']'"),
        ("[a/b]", "'[' without ']'"),
        ("[^a]", "[!abc]"),
        ("[z-a]", "empty range"),
        ("a" * 1025, "1025 characters"),
        (7, "found 7"),
        (None, "found None"),
        (b"a", "found b'a'"),
        (["a"], "found ['a']"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused(pattern, words):
    with pytest.raises(InvalidConfigurationError, match=re.escape(words)):
        compile_glob(pattern)
    for name in ("include", "exclude"):
        with pytest.raises(InvalidConfigurationError, match=f"^{name}: .*{re.escape(words)}") as caught:
            Selection(**{name: ["good", pattern]})
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [None, 7])
def test_patterns_that_are_no_patterns_are_refused(value):
    with pytest.raises(InvalidConfigurationError, match=r"exclude is .*expected a pattern"):
        Selection(exclude=value)


def test_including_nothing_is_refused():
    with pytest.raises(InvalidConfigurationError, match="nothing would be synced"):
        Selection(include=[])


@pytest.mark.parametrize(
    ("exclude", "pruned", "entered"),
    [
        ("build/", "build x/build build/x", "builds buildx x"),
        ("build", "build x/build build/x", "builds x"),
        ("etc/cache/**", "etc/cache etc/cache/x", "etc cache x/etc/cache"),
        ("etc/*", "etc/x etc", "x"),
        ("*.log", "a.log a.log/b", "a log"),
        ("etc/*.log", "etc/a.log", "etc"),
        ("a/**/b", "a/b a/x/b a/b/c", "a a/x b"),
        ("*/", "a a/b", ""),
        ("**", "a a/b", ""),
    ],
)
def test_a_directory_excluded_as_a_whole_is_not_entered(exclude, pruned, entered):
    selection = Selection(exclude=exclude)
    assert selection.may_hold("")
    assert [directory for directory in pruned.split() if selection.may_hold(directory)] == []
    assert [directory for directory in entered.split() if not selection.may_hold(directory)] == []


@pytest.mark.parametrize(
    ("include", "pruned", "entered"),
    [
        ("etc/app/*.json", "x etc/x etc/app/x app", "etc etc/app etc/app/a.json etc/app/a.json/b"),
        ("etc/app/", "x etcx etc/application", "etc etc/app etc/app/x/y"),
        ("etc/**/a", "x etcx", "etc etc/x/y"),
        ("./a/*b/c", "b a/x a/bx a/b/x", "a a/b a/bab a/b/c/d"),
        ("*.json", "", "x x/y"),
        ("a**b/c", "", "x x/y"),
    ],
)
def test_a_directory_no_include_leads_into_is_not_entered(include, pruned, entered):
    selection = Selection(include=include)
    assert selection.may_hold("")
    assert [directory for directory in pruned.split() if selection.may_hold(directory)] == []
    assert [directory for directory in entered.split() if not selection.may_hold(directory)] == []


def test_a_selection_pickles_and_can_be_a_key():
    selection = Selection(include="a/**", exclude="b")
    assert pickle.loads(pickle.dumps(selection)) == selection
    assert {selection: 1}[Selection(include=("a/**",), exclude=("b",))] == 1


HOSTILE = [
    ("**/" * 300 + "x", "/".join("a" * 500)),
    ("**/a/" * 200 + "b", "/".join("a" * 500)),
    ("**/*a*a*/" * 30 + "b", "/".join(["a" * 30] * 32)),
    ("*a" * 500 + "b", "a" * 1000),
    ("*a*a*a*a*a*b", "a" * 1000),
    ("**a" * 300 + "b", "a" * 1000),
    ("**a*a*a*a*b", "a/" * 400 + "a" * 200),
    ("a**" * 300 + "b", "a" * 1000),
    ("*?" * 500 + "b", "a" * 1000),
    ("*[a-z]" * 170 + "0", "a" * 1000),
    ("**" + "[!b]" * 250, "a" * 1000 + "b"),
    ("*" * 1000 + "x", "a" * 1000),
    ("[" * 1 + "a" * 1000 + "]" + "*b", "a" * 1000),
    ("a/" * 500 + "b", "a/" * 499 + "a"),
]


@pytest.mark.parametrize(("pattern", "path"), HOSTILE, ids=range(len(HOSTILE)))
def test_no_pattern_takes_long(pattern, path):
    started = time.process_time()
    selection = Selection(include=pattern, exclude=pattern)
    assert not compile_glob(pattern)(path)
    assert not selection.covers(path)
    selection.may_hold(path)
    assert time.process_time() - started < 1
