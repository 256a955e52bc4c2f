"""Texts by the million, in one block of memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PackedStrings(Sequence[str]):
    """A million strings in one block of bytes: 8 bytes each beside the text itself."""

    blob: bytes
    offsets: NDArray[np.int64]

    @classmethod
    def pack(cls, strings: Sequence[str]) -> "PackedStrings":
        """Pack strings in their order."""
        encoded = list(map(str.encode, strings))
        lengths = np.fromiter((len(item) for item in encoded), np.int64, len(encoded))
        return cls(b"".join(encoded), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        """String at a position; slices are not needed and not offered."""
        position = range(len(self))[index]
        start, stop = self.offsets[position], self.offsets[position + 1]
        return self.blob[start:stop].decode()

    def __iter__(self) -> Iterator[str]:
        """All strings: several times as fast as one by one."""
        return (self.blob[start:stop].decode() for start, stop in pairwise(self.offsets.data))

    def take(self, positions_N: NDArray[np.int64]) -> "PackedStrings":
        """The strings at some positions, in that order."""
        starts_N, stops_N = self.offsets[positions_N], self.offsets[positions_N + 1]
        parts = map(slice, starts_N.tolist(), stops_N.tolist())
        blob = b"".join(map(self.blob.__getitem__, parts))
        return PackedStrings(blob, np.concatenate([[0], np.cumsum(stops_N - starts_N)]))
