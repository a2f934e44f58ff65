"""What a release's tag says."""

from gitrain.release.tags import ReleaseTag, commits_of, facts_of, message_of, named_record, release_tag
from gitrain.release.versions import ReleaseFacts
from gitrain.testing.releases import make_release


def test_a_tag_says_what_the_next_version_needs(tmp_path):
    record = make_release(tmp_path / "bundle", "1.4.0", project="p").record

    tag = release_tag(record)

    assert (tag.name, tag.commit) == ("p@v1.4.0", "c" * 40)
    assert tag.message.startswith("p 1.4.0\n\n")
    assert named_record(tag) == record.digest
    assert facts_of("p", [tag]) == {"1.4.0": ReleaseFacts.of(record.identity)}
    assert commits_of([tag]) == {"p@v1.4.0": "c" * 40}


def test_tags_of_others_say_nothing(tmp_path):
    message = message_of(make_release(tmp_path / "bundle", project="p").record)
    tags = [
        ReleaseTag(name="p@v1.0.0", commit="a" * 40),
        ReleaseTag(name="p@v1.1.0", commit="a" * 40, message="Registering artifact p version v1.1.0"),
        ReleaseTag(name="q@v1.2.0", commit="a" * 40, message=message),
        ReleaseTag(name="p@v1.3.0-rc.1", commit="a" * 40, message=message),
    ]

    assert facts_of("p", tags) == {}
    assert [named_record(tag) for tag in tags[:2]] == [None, None]
