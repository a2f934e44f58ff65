import os
import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gitrain.errors import DataError, PipelineError
from gitrain.integrations.files import LocalMemo, LocalWorkspace, replacing


@pytest.fixture
def workspace(tmp_path):
    return LocalWorkspace(tmp_path)


def test_what_is_written_is_read(workspace):
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "ü"]})

    workspace.write_table("data/raw/t/1.parquet", frame)
    workspace.write_text("reports/r.md", "ü")

    assert_frame_equal(workspace.read_table("data/raw/t/1.parquet"), frame)
    assert workspace.read_table("data/raw/t/1.parquet", columns=["b"]).columns == ["b"]
    assert workspace.read_text("reports/r.md") == "ü"
    assert workspace.list("data/raw/t", ".parquet") == ["data/raw/t/1.parquet"]


def test_equal_frames_give_equal_bytes(workspace):
    frame = pl.DataFrame({"a": range(1000)})

    workspace.write_table("one.parquet", frame)
    workspace.write_table("two.parquet", pl.concat([frame[:400], frame[400:]], rechunk=False))

    assert workspace.digest("one.parquet") == workspace.digest("two.parquet")


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    (tmp_path / "f").write_text("old")

    with pytest.raises(RuntimeError, match="stop"), replacing(tmp_path / "f") as stream:
        stream.write(b"half")
        raise RuntimeError("stop")

    assert (tmp_path / "f").read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_killed_write_leaves_the_old_file(tmp_path):
    (tmp_path / "f").write_text("old")
    program = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from gitrain.integrations.files import replacing
        with replacing(Path({str(tmp_path / "f")!r})) as stream:
            stream.write(b"half")
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )

    done = subprocess.run([sys.executable, "-c", program], check=False)

    assert done.returncode == -9
    assert (tmp_path / "f").read_text() == "old"
    # What the kill left beside it is no output of a stage.
    assert LocalWorkspace(tmp_path).list(".", "f") == ["./f"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_a_broken_table_is_named(workspace, content):
    workspace.write_bytes("data/x.parquet", content)

    with pytest.raises(DataError, match=r"data/x\.parquet"):
        workspace.read_table("data/x.parquet")


def test_what_is_missing_is_named(workspace):
    with pytest.raises(DataError, match=r"data/x\.parquet is missing"):
        workspace.read_table("data/x.parquet")
    with pytest.raises(PipelineError, match=r"params\.yaml is missing"):
        workspace.read_text("params.yaml")


class TestMemo:
    @pytest.fixture
    def memo(self, tmp_path):
        return LocalMemo(folder=tmp_path / "memo", root=tmp_path)

    def write(self, root: Path, name: str, text: str) -> None:
        (root / name).write_text(text)

    def test_remembered_files_come_back(self, memo, tmp_path):
        self.write(tmp_path, "a", "A")
        memo.store("sha256:k", ["a", "never-there"])
        self.write(tmp_path, "a", "changed")
        self.write(tmp_path, "never-there", "now it is")

        assert memo.restore("sha256:k", ["a", "never-there"])

        assert (tmp_path / "a").read_text() == "A"
        assert not (tmp_path / "never-there").exists()

    def test_an_unknown_key_restores_nothing(self, memo):
        assert not memo.restore("sha256:unknown", ["a"])

    def test_a_damaged_entry_is_none(self, memo, tmp_path):
        self.write(tmp_path, "a", "A")
        self.write(tmp_path, "b", "B")
        memo.store("k", ["a", "b"])
        for file in (tmp_path / "memo" / "k").iterdir():
            if file.name != "index" and file.read_text() == "B":
                file.write_text("damaged")
        self.write(tmp_path, "a", "mine")

        assert not memo.restore("k", ["a", "b"])
        assert (tmp_path / "a").read_text() == "mine"

    def test_an_entry_without_its_index_is_none(self, memo, tmp_path):
        self.write(tmp_path, "a", "A")
        memo.store("k", ["a"])
        (tmp_path / "memo" / "k" / "index").unlink()

        assert not memo.restore("k", ["a"])

    def test_the_entries_used_longest_ago_go_first(self, tmp_path):
        memo = LocalMemo(folder=tmp_path / "memo", root=tmp_path, max_bytes=3000)
        for number, key in enumerate("abc"):
            self.write(tmp_path, "f", key * 1000)
            memo.store(key, ["f"])
            os.utime(tmp_path / "memo" / key / "index", (number, number))
        assert not memo.restore("a", ["f"])
        assert memo.restore("b", ["f"])

        self.write(tmp_path, "f", "d" * 1000)
        memo.store("d", ["f"])

        assert not memo.restore("c", ["f"])
        assert memo.restore("b", ["f"])
