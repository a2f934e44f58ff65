from gitrain.lineage import digest_of_bytes, digest_of_file, digest_of_files, digest_of_value


def test_digests_name_their_algorithm():
    assert digest_of_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_file_has_the_digest_of_its_content(tmp_path):
    (tmp_path / "a").write_bytes(b"content")

    assert digest_of_file(tmp_path / "a") == digest_of_bytes(b"content")


def test_the_order_of_keys_and_files_does_not_matter(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    files = [tmp_path / "a", tmp_path / "b"]

    assert digest_of_value({"a": 1, "b": 2}) == digest_of_value({"b": 2, "a": 1})
    assert digest_of_files(files, root=tmp_path) == digest_of_files(files[::-1], root=tmp_path)


def test_a_moved_file_changes_the_digest(tmp_path):
    (tmp_path / "a").write_text("x")
    before = digest_of_files([tmp_path / "a"], root=tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")

    assert digest_of_files([tmp_path / "b"], root=tmp_path) != before
