"""Orders of a pass over all images of which any part can be had without the rest.

A slice of one gives positions of images, as a slice of an array would.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_ROUNDS = 6  # even, so that both halves have their widths again
WINDOW = 32
"""Blocks whose images are mixed at a time."""


class Keyed:
    """A random permutation of so many numbers, evaluated where it is asked for.

    A Feistel network permutes the numbers of as many bits; what it puts beyond the length goes
    through it again until it is inside (Black & Rogaway 2002, "Ciphers with arbitrary finite
    domains").
    """

    def __init__(self, length: int, rng: np.random.Generator) -> None:
        self._length = length
        bits = max(2, (length - 1).bit_length())
        self._widths = (bits - bits // 2, bits // 2)
        self._keys = rng.integers(2**63, size=_ROUNDS, dtype=np.uint64)

    def __getitem__(self, part: slice) -> Ints:
        numbers = np.arange(*part.indices(self._length), dtype=np.uint64)
        found = self._once(numbers)
        while (beyond := found >= self._length).any():
            found[beyond] = self._once(found[beyond])
        return found.astype(np.int64)

    def _once(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        high, low = map(np.uint64, self._widths)
        one = np.uint64(1)
        for key in self._keys:
            upper, lower = numbers >> low, numbers & ((one << low) - one)
            mixed = upper ^ (_mixed(lower ^ key) & ((one << high) - one))
            numbers, high, low = (lower << high) | mixed, low, high
        return numbers


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits that depend on all bits (the last step of SplitMix64: Steele, Lea & Flood 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> np.uint64(31))


class InBlocks:
    """All images once, in an order for which blocks are read whole, each of them about once.

    Blocks come in random order. The images of each are dealt out at random to as many steps as the
    window has blocks, the first of which is the block's own; those of a step are shuffled. So a new
    block is needed at each step, and images are mixed over the whole window. The last steps go on
    with the first blocks.

    Args:
        starts_B: First image of each block, and behind the last the number of images.
        seed: Numbers that tell this order from others.
    """

    def __init__(self, starts_B: Ints, seed: tuple[int, ...]) -> None:
        self._starts_B, self._seed = starts_B, seed
        self._order_B = np.random.default_rng(seed).permutation(len(starts_B) - 1)
        self._window = min(WINDOW, len(self._order_B))
        sizes_B = np.diff(starts_B)[self._order_B]
        self._ends_B = np.cumsum(
            sum(np.roll(self._part(sizes_B, n + 1) - self._part(sizes_B, n), n)
                for n in range(self._window))
        )  # fmt: skip

    def __getitem__(self, part: slice) -> Ints:
        start, stop, _ = part.indices(int(self._ends_B[-1]))
        first, last = np.searchsorted(self._ends_B, [start, stop - 1], "right").tolist()
        steps = [self._step(step) for step in range(first, last + 1)]
        before = int(self._ends_B[first]) - len(steps[0])
        return np.concatenate(steps)[start - before : stop - before]

    def _part(self, sizes: Ints, number: int) -> Ints:
        """Where the part of this number begins in blocks of such sizes."""
        return sizes * number // self._window

    def _step(self, step: int) -> Ints:
        images = []
        for number in range(self._window):
            position = (step - number) % len(self._order_B)
            block = self._order_B[position]
            own = np.arange(self._starts_B[block], self._starts_B[block + 1])
            own = np.random.default_rng((*self._seed, 0, position)).permutation(own)
            low, high = (self._part(np.array(len(own)), n) for n in (number, number + 1))
            images.append(own[low:high])
        return np.random.default_rng((*self._seed, 1, step)).permutation(np.concatenate(images))
