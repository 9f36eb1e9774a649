"""The checksum at the end of a checkpoint, which tells whether its bytes are those that were written; free of torch."""

import hashlib
from pathlib import Path

_SEAL = b"photosurf sha256 "  # then 64 hexadecimal digits: the comment at the end of the zip file that torch writes
_SEAL_BYTES = len(_SEAL) + 64


def seal(path: Path) -> None:
    """Writes the digest of a zip file into its comment; the length of the comment is the last field of the file."""
    with open(path, "r+b") as file:
        file.seek(-2, 2)
        file.write(_SEAL_BYTES.to_bytes(2, "little"))
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, 2)
        file.write(_SEAL + digest.encode("ascii"))


def is_whole(path: Path) -> bool | None:
    """Whether a file holds the bytes that were sealed; None for a file without a seal."""
    with open(path, "rb") as file:
        size = file.seek(0, 2) - _SEAL_BYTES
        file.seek(max(size, 0))
        sealed = file.read()
        if not sealed.startswith(_SEAL):
            return None
        file.seek(0)
        digest = hashlib.sha256()
        while size > 0:
            part = file.read(min(size, 2**20))
            digest.update(part)
            size -= len(part)
        return sealed[len(_SEAL) :] == digest.hexdigest().encode("ascii")
