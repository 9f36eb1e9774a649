"""A file is either complete or as it was."""

import errno

import pytest

from utils.errors import OutputError
from utils.files import BestEffortWrites, replacing, require_place


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


def test_a_folder_is_there_or_can_be_made_and_nothing_is_left(tmp_path):
    for folder in (tmp_path, tmp_path / "a", tmp_path / "a/b/c"):
        require_place(folder, "--out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("file", "--out: {}/file is a file, and results need a folder."),
        ("file/a/b", "--out: {}/file is a file, and results need a folder."),
        ("lost", "--out: nothing can be written into {}/lost (No such file or directory). No folder can be made there"),
        (f"a/{'b' * 300}", "--out: nothing can be written into {} (File name too long). Give a shorter name."),
    ],
)
def test_a_folder_that_cannot_be_made(tmp_path, folder, told):
    (tmp_path / "file").touch()
    (tmp_path / "lost").symlink_to("nowhere")
    with pytest.raises(OutputError) as refused:
        require_place(tmp_path / folder, "--out")
    assert str(refused.value).startswith(told.format(tmp_path))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENOENT])  # the last one in /proc
def test_a_folder_that_takes_nothing(tmp_path, monkeypatch, number):
    def refuse(*_, **options):
        raise OSError(number, "refused", str(options["dir"]))

    monkeypatch.setattr("utils.files.tempfile.TemporaryDirectory", refuse)
    with pytest.raises(OutputError, match=r"^--out x: nothing can be written into .* \(refused\)\. \w.*\.$"):
        require_place(tmp_path / "x", "--out x")
