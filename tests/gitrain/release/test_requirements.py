import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.release.packages import Packages

from gitrain.errors import SettingsError
from gitrain.release.requirements import Need, close_over, normalised, parse_requirements, requirements_text

HASH = f"sha256:{'a' * 64}"
TEXT = f"""\
# A comment.
alpha==1.0 \\
    --hash={HASH} \\
    --hash=sha256:{"b" * 64}

numpy==2.4 ; python_full_version < '3.12' \\
    --hash={HASH}
numpy==2.5 ; python_full_version >= '3.12' \\
    --hash={HASH}
Ruamel.Yaml==0.18
"""


def entries(*names, hashes=(HASH,)):
    text = "".join(f"{name}==1.0 \\\n" + "".join(f"    --hash={each}\n" for each in hashes) for name in names)
    return parse_requirements(text)


def graph(**needs):
    return {name: [("", Need(name=each)) for each in found] for name, found in needs.items()}


def test_entries_are_read_as_they_stand():
    alpha, old, new, ruamel = parse_requirements(TEXT)

    assert (alpha.name, alpha.version, alpha.marker, len(alpha.hashes)) == ("alpha", "1.0", None, 2)
    assert (old.marker, new.version) == ("python_full_version < '3.12'", "2.5")
    assert (ruamel.name, ruamel.hashes) == ("ruamel-yaml", ())
    assert alpha.text == TEXT.split("\n\n", maxsplit=1)[0].partition("\n")[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alpha>=1.0", "line 1: 'alpha>=1.0' is no pinned version"),
        ("-r other.txt", "is no pinned version"),
        ("alpha @ https://example.com/alpha.whl", "is no pinned version"),
        ("-e .", "is no pinned version"),
        ("a==1\nb==1 --hash=md5:0123", "line 2: b has an option that is no SHA-256"),
        ("a==1 --global-option=x", "a has an option that is no SHA-256"),
    ],
)
def test_what_is_not_pinned_is_refused(text, said):
    with pytest.raises(SettingsError, match=said):
        parse_requirements(text)


@pytest.mark.parametrize(
    ("name", "expected"), [("Ruamel.Yaml", "ruamel-yaml"), ("a__b", "a-b"), ("A-_.b", "a-b"), ("numpy", "numpy")]
)
def test_names_are_compared_as_pypi_does(name, expected):
    assert normalised(name) == expected


def test_all_entries_of_a_name_are_kept_in_the_order_of_the_lock():
    locked = parse_requirements(TEXT)

    assert requirements_text(locked, {"numpy"}) == "\n".join(entry.text for entry in locked[1:3]) + "\n"
    assert parse_requirements(requirements_text(locked, {"numpy", "alpha"})) == locked[:3]
    assert requirements_text(locked, set()) == ""


def test_what_is_needed_is_followed_and_circles_end():
    needs = graph(a=["b"], b=["c", "a"], d=["e"])

    closure = close_over([Need(name="a")], entries("a", "b", "c", "d", "e"), Packages(needs))

    assert (set(closure.names), set(closure.direct), closure.problems) == ({"a", "b", "c"}, {"a"}, ())


def test_extras_are_followed_even_where_the_package_was_reached_without_them():
    needs = {"a": [("", Need(name="b"))], "b": [("fast", Need(name="c"))]}
    roots = [Need(name="a"), Need(name="b", extras=frozenset({"fast"}))]

    assert close_over(roots, entries("a", "b", "c"), Packages(needs)).names == {"a", "b", "c"}
    assert close_over(roots[:1], entries("a", "b", "c"), Packages(needs)).names == {"a", "b"}


def test_what_other_systems_need_is_kept_where_it_is_locked_and_no_defect_where_it_is_not():
    needs = {"a": [("", Need(name="windows-only", here=False)), ("", Need(name="unlocked", here=False))]}

    closure = close_over([Need(name="a")], entries("a", "windows-only"), Packages(needs))

    assert (set(closure.names), closure.problems) == ({"a", "windows-only"}, ())


def test_a_package_whose_source_is_packed_needs_no_entry_and_what_it_needs_is_direct():
    closure = close_over([Need(name="own")], entries("a", "b"), Packages(graph(own=["a"], a=["b"])), packed={"own"})

    assert (set(closure.names), set(closure.direct), closure.problems) == ({"a", "b"}, {"a"}, ())


def test_all_that_is_wrong_is_told():
    locked = (*entries("a"), *entries("bare", hashes=()), *entries("old", "absent"))
    installed = Packages(graph(a=["bare", "old", "absent", "missing"]), {"a": "1.0", "bare": "1.0", "old": "0.9"})

    assert close_over([Need(name="a")], locked, installed).problems == (
        "absent 1.0 is in requirements.lock and is not installed here",
        "bare 1.0 is in requirements.lock without a hash",
        "missing is not in requirements.lock, and a needs it",
        "old 0.9 is installed, and requirements.lock has 1.0",
    )


def test_the_version_is_that_of_the_entry_for_this_machine():
    numpy = parse_requirements(TEXT)[1:3]

    assert close_over([Need(name="numpy")], numpy, Packages(versions={"numpy": "2.4"})).problems == ()
    assert close_over([Need(name="numpy")], numpy, Packages(versions={"numpy": "2.5"})).problems == (
        "numpy 2.5 is installed, and requirements.lock has 2.4",
    )


NAMES = [f"p{number}" for number in range(8)]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4), max_size=8)


@given(needs=GRAPHS, roots=st.sets(st.sampled_from(NAMES)), more=st.sampled_from(NAMES))
def test_a_closure_is_closed_least_and_grows_with_its_roots(needs, roots, more):
    def closure(names):
        return close_over([Need(name=name) for name in sorted(names)], entries(*NAMES), Packages(graph(**needs))).names

    found = closure(roots)
    assert roots <= found
    assert all(set(needs.get(name, ())) <= found for name in found)
    assert closure(found) == found
    assert found <= closure(roots | {more})
    # Whatever is in it is a root, or is needed by something in it.
    assert all(name in roots or any(name in needs.get(other, ()) for other in found) for name in found)
