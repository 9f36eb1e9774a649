"""A file is either complete or as it was."""

import errno

import pytest

from utils.files import BestEffortWrites, replacing


def test_new_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "new" / "mesh.obj"
    for content in ("one", "two"):
        with replacing(path) as temporary:
            assert (temporary.parent, temporary.suffix) == (path.parent, ".obj")
            temporary.write_text(content)
        assert path.read_text() == content
    assert list(path.parent.iterdir()) == [path]


def test_after_an_error_the_old_file_is_as_it_was(tmp_path):
    path = tmp_path / "mesh.obj"
    path.write_text("old")

    def interrupted():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_spared_is_said_once_and_other_errors_are_errors(caplog):
    spared = BestEffortWrites()
    for _ in range(2):
        with spared("a view"):
            raise OSError(errno.EROFS, "Read-only file system")
    assert caplog.messages == [
        "a view cannot be written (Read-only file system), and the work goes on without. Give a folder that you may "
        "write to."
    ]
    with pytest.raises(FileNotFoundError), spared("a view"):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")
