"""The checksum inside a file: any changed byte is told, a file without one is known as such."""

import hashlib
from pathlib import Path

import pytest

from mlc_cli.core.system.checksum import OPEN, is_intact, seal


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, Path]:
    path, part = tmp_path / "a.xml", tmp_path / "a.bin"
    path.write_bytes(b"<before/>" + OPEN.encode() + b"<behind/>")
    part.write_bytes(bytes(range(256)))
    seal(path, part)
    return path, part


def test_the_checksum_is_sha256_with_zeros_in_its_place(sealed: tuple[Path, Path]) -> None:
    path, part = sealed
    content = path.read_bytes()
    digits = content[len(b"<before/>mlc-sha256-") :][:64]
    zeroed = content.replace(digits, b"0" * 64)
    inner = hashlib.sha256(part.read_bytes()).digest()
    assert digits.decode() == hashlib.sha256(zeroed + inner).hexdigest()
    assert is_intact(*sealed)


def test_every_flipped_bit_is_told(sealed: tuple[Path, Path]) -> None:
    for path in sealed:
        content = path.read_bytes()
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(damaged)
            assert not is_intact(*sealed)
        path.write_bytes(content)
    assert is_intact(*sealed)


def test_sealing_again_follows_a_change(sealed: tuple[Path, Path]) -> None:
    path, part = sealed
    part.write_bytes(b"others")
    assert is_intact(path, part) is False
    seal(path, part)
    assert is_intact(path, part)


@pytest.mark.parametrize("content", [b"", b"mlc", b"weights of others" * 99])
def test_a_file_without_a_checksum_is_known_as_such(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert is_intact(tmp_path / "x") is None
