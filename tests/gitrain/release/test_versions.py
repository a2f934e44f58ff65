"""Which version comes next."""

from hypothesis import given
from hypothesis import strategies as st

from gitrain.release.versions import ReleaseFacts, Version, next_version, tag_name, version_of_tag
from gitrain.testing.releases import make_release

VERSIONS = st.builds(Version, *[st.integers(0, 10**8)] * 3)
COMMITS = st.integers(0, 5).map(lambda number: f"{number:040x}")
DIGESTS = st.integers(0, 3).map(lambda number: f"sha256:{number:064x}")
FACTS = st.builds(ReleaseFacts, commit=COMMITS, model_digest=DIGESTS, schema_digest=DIGESTS)
FOREIGN = st.sampled_from(
    [
        "v9.9.9",
        "9.9.9",
        "p@9.9.9",
        "p@v9.9",
        "p@v9.9.9-rc.1",
        "p@v9.9.9!",
        "p@v09.9.9",
        "p@v9.9.9+build",
        "p#prod#1",
        "pp@v9.9.9",
        "q@v9.9.9",
        "p@v٩.٩.٩",
        f"p@v{'9' * 5000}.0.0",
        "p@v9.9.9\n",
    ]
)
OTHER = ReleaseFacts(commit="f" * 40, model_digest=f"sha256:{9:064x}", schema_digest=f"sha256:{9:064x}")


def facts(commit="a" * 40, model="1", schema="1"):
    return ReleaseFacts(commit=commit, model_digest=f"sha256:{model * 64}", schema_digest=f"sha256:{schema * 64}")


@given(VERSIONS)
def test_a_version_is_its_text(version):
    assert Version.parse(str(version)) == version
    assert version_of_tag("p", tag_name("p", str(version))) == version


@given(st.lists(VERSIONS))
def test_versions_are_ordered_as_numbers(versions):
    assert sorted(versions) == sorted(versions, key=lambda each: (each.major, each.minor, each.patch))


@given(VERSIONS, st.sampled_from(["patch", "minor", "major"]))
def test_what_is_counted_up_is_newer(version, part):
    assert version.bumped(part) > version


@given(
    known=st.dictionaries(VERSIONS.map(str), FACTS),
    foreign=st.lists(FOREIGN),
    new=FACTS,
    bump=st.none() | st.sampled_from(["patch", "minor", "major"]),
)
def test_the_next_version_is_new_or_that_of_the_commit(known, foreign, new, bump):
    tags = {tag_name("p", version): each.commit for version, each in known.items()} | dict.fromkeys(foreign, "0" * 40)

    found = next_version("p", tags, [], new, bump=bump, known=known)

    versions = {Version.parse(version): each for version, each in known.items()}
    chosen = Version.parse(found.version)
    if found.released:
        assert chosen is not None
        assert versions[chosen].commit == new.commit
        # Deciding twice gives the same, and no --bump gives a commit a second version.
        assert chosen == max(
            version for version, each in versions.items() if version is not None and each.commit == new.commit
        )
    else:
        assert new.commit not in {each.commit for each in known.values()}
        assert chosen not in versions
        assert all(chosen > version for version in versions)


@given(known=st.dictionaries(VERSIONS.map(str), FACTS, min_size=1), foreign=st.lists(FOREIGN))
def test_once_released_a_commit_keeps_its_version(known, foreign):
    new = OTHER
    first = next_version("p", {}, [], new, known=known)
    tags = {tag_name("p", first.version): new.commit} | dict.fromkeys(foreign, new.commit)

    again = next_version("p", tags, [], new, known=known, bump="major")

    assert (again.version, again.released) == (first.version, True)


def test_the_first_release():
    found = next_version("p", {"q@v3.0.0": "b" * 40}, [], facts())

    assert (found.version, found.reason, found.released) == ("0.1.0", "the first release", False)
    # There is none to count on from.
    assert next_version("p", {}, [], facts(), bump="major").version == "0.1.0"


def test_what_has_changed_decides():
    known = {"1.4.2": facts(commit="b" * 40)}

    def found(new, **options):
        decided = next_version("p", {}, [], new, known=known, **options)
        return decided.version, decided.reason

    assert found(facts()) == ("1.4.3", "the model and the schema are those of 1.4.2")
    assert found(facts(model="2")) == ("1.5.0", "the model is another than that of 1.4.2")
    assert found(facts(schema="2")) == ("1.5.0", "requests or answers have another schema than those of 1.4.2")
    assert found(facts(model="2"), bump="patch") == ("1.4.3", "a patch version was asked for")
    assert found(facts(), bump="major") == ("2.0.0", "a major version was asked for")


def test_records_say_what_tags_cannot(tmp_path):
    made = make_release(tmp_path / "bundle", "0.3.0", project="p", commit="b" * 40)
    new = ReleaseFacts.of(made.record.identity)
    another = ReleaseFacts(commit="a" * 40, model_digest=new.model_digest, schema_digest=new.schema_digest)

    assert next_version("p", {}, [made.record], another).version == "0.3.1"
    # A tag alone does not say which model it has.
    decided = next_version("p", {"p@v0.3.0": "b" * 40}, [], another)
    assert decided.version == "0.4.0"
    assert "not known" in decided.reason
    # A tag that is newer than what the store has counts.
    assert next_version("p", {"p@v0.5.0": "c" * 40}, [made.record], another).version == "0.6.0"


def test_a_version_that_others_published_meanwhile_is_theirs(tmp_path):
    mine = make_release(tmp_path / "mine", "0.3.0", project="p", commit="a" * 40).record
    theirs = make_release(tmp_path / "theirs", "0.3.0", project="p", commit="b" * 40).record

    for found in (
        next_version("p", {}, [mine, theirs], ReleaseFacts.of(mine.identity)),
        next_version("p", {"p@v0.3.0": "b" * 40}, [mine], ReleaseFacts.of(mine.identity)),
    ):
        assert (found.version, found.released) == ("0.3.1", False)
