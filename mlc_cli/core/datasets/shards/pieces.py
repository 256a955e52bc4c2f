"""Where the images of shards are: 20 bytes each.

Names of arrays: N images.
"""

import os
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.system.places import Block, Piece

if TYPE_CHECKING:
    from mlc_cli.core.system.downloads.cache import Cache

BLOCK_BYTES = 8e6
"""What is read at once of a tar file, unless one image is larger."""


@dataclass(frozen=True)
class Pieces:
    """Places of the images of a split, in its order.

    Attributes:
        files: The shards.
        file_N: The shard of each image.
        start_N: Its first byte; in Parquet counted from the beginning of its row group.
        size_N: Its bytes.
        block_N: Number of the block, or of the row group, that each is in.
        column: The column of images, of Parquet.
        store: Keeps blocks.
        version: Of the index.
        blocks: Whether tar files are read by blocks; Parquet always is.
    """

    files: tuple[Path, ...]
    file_N: NDArray[np.int32]
    start_N: NDArray[np.int64]
    size_N: NDArray[np.int64]
    block_N: NDArray[np.int32]
    store: "Cache"
    version: str
    column: str = ""
    blocks: bool = False

    def take(self, images_N: NDArray[np.int64]) -> "Pieces":
        """Those of some images, in that order."""
        taken: dict[str, Any] = {
            name: getattr(self, name)[images_N]
            for name in ("file_N", "start_N", "size_N", "block_N")
        }
        blocks = self.blocks and bool((np.diff(images_N) > 0).all())
        return replace(self, blocks=blocks, **taken)

    def starts_B(self) -> NDArray[np.int64]:
        """First image of each block, and the number of images."""
        fresh_N = np.diff(self.block_N, append=-1) | np.diff(self.file_N, append=-1)
        return np.concatenate([[0], np.flatnonzero(fresh_N) + 1])

    def names(self, folder: Path) -> list[str]:
        """The shards, as they are named from the folder."""
        return [os.path.relpath(file, folder) for file in self.files]

    def piece(self, image: int, path: str) -> Piece:
        """One of them; `path` is the image's own."""
        file, start = self.files[self.file_N[image]], int(self.start_N[image])
        block = None
        if self.column:
            number = int(self.block_N[image])
            block = Block(file, number, number, self.store, self.version, self.column)
        elif self.blocks:
            first, last = self._of_block(image)
            low, high = int(self.start_N[first]), int(self.start_N[last] + self.size_N[last])
            block = Block(file, low, high, self.store, self.version)
            start -= low
        return Piece.of(file, path, start, int(self.size_N[image]), block)

    def _of_block(self, image: int) -> tuple[int, int]:
        """First and last image of the block of one; they follow each other, as in their shard."""
        first, last = np.searchsorted(self.block_N, self.block_N[image] + np.arange(2))
        return int(first), int(last) - 1


def in_blocks(
    file_N: NDArray[np.int32], start_N: NDArray[np.int64], size_N: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Numbers of the blocks of images that follow each other in tar files.

    A block ends with its shard, where images are not in the order of their bytes, or before it has
    more than `BLOCK_BYTES`.
    """
    ends_N = start_N + size_N
    fresh_N = (file_N[1:] != file_N[:-1]) | (start_N[1:] < ends_N[:-1])
    runs = [0, *(np.flatnonzero(fresh_N) + 1).tolist(), len(file_N)]
    firsts: list[int] = []
    for run, end in pairwise(runs):
        first = run
        while first < end:
            firsts.append(first)
            full = np.searchsorted(ends_N[first:end], start_N[first] + BLOCK_BYTES, "right")
            first += max(1, int(full))
    marks_N = np.zeros(len(file_N), np.int32)
    marks_N[firsts[1:]] = 1
    return np.cumsum(marks_N, dtype=np.int32)
