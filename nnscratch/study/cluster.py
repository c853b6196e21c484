"""Trials on the workers of a Dask cluster, on one machine or many."""

from concurrent.futures import CancelledError, Future
from typing import Any

from ..errors import NnscratchError, UsageError
from .trials import Outcome
from .workers import Data, Result, Task

ANSWER_SECONDS = 10  # in which a scheduler has to answer


class DaskPool:
    """The workers of a running Dask scheduler; the images go to each of them once.

    A trial whose worker dies is given to another worker, as often as the scheduler's setting
    allowed-failures says; then it has failed. Workers want one thread each, `dask worker ADDRESS
    --nthreads 1`: trials on threads of one process wait for each other.

    Dask's own futures and not joblib's backend for it, which never returns from a trial whose
    workers die too often (joblib 1.6).
    """

    def __init__(self, address: str, data: Data) -> None:
        try:
            import distributed
        except ImportError:
            what = "--scheduler needs Dask, which is not installed"
            raise UsageError(what, 'install it: pip install "nnscratch[cluster]"') from None
        connect: Any = distributed.Client
        try:
            self._client = connect(address, timeout=ANSWER_SECONDS)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {address} ({type(error).__name__})",
                "start one with `dask scheduler`, and workers with `dask worker ADDRESS`",
            ) from None
        if not self.size():
            self._client.close()
            what = f"the Dask scheduler at {address} has no workers"
            raise UsageError(what, f"start some: dask worker {address} --nthreads 1")
        self._killed_worker = distributed.KilledWorker
        [self._data] = self._client.scatter([dict(data)], broadcast=True)
        self._executor = self._client.get_executor(retries=0, pure=False)

    def size(self) -> int:
        try:
            return sum(self._client.ncores().values())
        except OSError as error:
            raise lost(error) from None

    def submit(self, task: Task) -> "Future[Result]":
        answer: Future[Result] = Future()

        def pass_on(done: "Future[Result]") -> None:
            try:
                answer.set_result(done.result())
            except self._killed_worker:
                answer.set_result(Result(Outcome("failed", "its workers died"), 0.0, "a cluster"))
            except (CancelledError, OSError) as error:
                answer.set_exception(lost(error))

        self._executor.submit(task, self._data).add_done_callback(pass_on)
        return answer

    def restart(self) -> None:
        """Nothing to do: the scheduler goes on with the workers that are left."""

    def close(self) -> None:
        self._client.close()


def lost(error: BaseException) -> NnscratchError:
    """The error for a scheduler that is gone in the middle of a study."""
    return UsageError(
        f"the Dask scheduler is gone ({type(error).__name__})",
        "start it again; all finished trials are kept, and the same command goes on",
    )
