"""Trials on the workers of a Dask cluster, on one machine or many."""

from concurrent.futures import Future
from typing import Any

from ..errors import UsageError
from .workers import Data, Result, Task

ANSWER_SECONDS = 10  # in which a scheduler has to answer


class DaskPool:
    """The workers of a running Dask scheduler; the images go to each of them once.

    A trial whose worker dies is given to another worker, as often as the scheduler's setting
    allowed-failures says. Workers want one thread each, `dask worker --nthreads 1`: trials on
    threads of one process wait for each other.
    """

    def __init__(self, address: str, data: Data) -> None:
        try:
            import distributed
        except ImportError:
            what = "--scheduler needs Dask, which is not installed"
            raise UsageError(what, 'install it: pip install "nnscratch[cluster]"') from None
        try:
            client: Any = distributed.Client
            self._client = client(address, timeout=ANSWER_SECONDS)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {address} ({type(error).__name__})",
                "start one with `dask scheduler`, and workers with `dask worker ADDRESS`",
            ) from None
        if not self.size():
            self._client.close()
            what = f"the Dask scheduler at {address} has no workers"
            raise UsageError(what, f"start some: dask worker {address} --nthreads 1")
        [self._data] = self._client.scatter([dict(data)], broadcast=True)
        self._executor = self._client.get_executor(retries=0, pure=False)

    def size(self) -> int:
        return sum(self._client.ncores().values())

    def submit(self, task: Task) -> "Future[Result]":
        submitted: Future[Result] = self._executor.submit(task, self._data)
        return submitted

    def restart(self) -> None:
        """Nothing to do: the scheduler goes on with the workers that are left."""

    def close(self) -> None:
        self._client.close()
