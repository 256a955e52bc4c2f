"""What processes that work together agree on; alone, a process is a group of one, without torch."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class SingleProcess:
    """The processes that work together, seen from one of them: here the only one.

    All methods are called by all processes, in the same order.

    Attributes:
        rank: Number of this process, from 0.
        size: Processes in all.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def total(self, count: int) -> int:
        """Sum of a whole number over all processes."""
        return int(count)

    def any(self, flag: bool) -> bool:  # noqa: FBT001 - the question is the name
        """Whether it is true for any process."""
        return self.total(flag) > 0

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.total(0)

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        return [value]

    def gather_to_main(self, value: T) -> list[T]:
        """The values of all processes, by rank, in the leading one; nothing in the others."""
        return [value]

    def broadcast(self, make: Callable[[], T]) -> T:
        """What the leading process makes, for all."""
        return make()

    def shard(self, items: Iterable[T], batch_size: int) -> Iterator[T]:
        """This process's part of a stream that all see: every so many batches one."""
        for number, item in enumerate(items):
            if number // batch_size % self.size == self.rank:
                yield item

    def in_order(self, batches: Iterator[T]) -> Iterator[T]:
        """What all processes make of their batches, in order, in the leading one.

        It ends for all where one has no more, be it at the end of the stream or at a signal.
        """
        if self.size == 1:
            yield from batches
            return
        complete = True
        while complete:
            batch = next(batches, None)
            complete = self.total(batch is not None) == self.size
            for made in self.gather_to_main(batch):
                if made is None:
                    break
                yield made

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Inside, the leading process is alone; the others follow when it is done."""
        if not self.is_main:
            self.barrier()
        yield
        if self.is_main:
            self.barrier()
