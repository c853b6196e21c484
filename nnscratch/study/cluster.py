"""Trials on the workers of a Dask cluster, on one machine or many."""

import time
import warnings
from concurrent.futures import CancelledError, Future
from typing import Any

from ..errors import NnscratchError, UsageError
from .workers import Data, Result, Task, failed, machine_name

ANSWER_SECONDS = 10  # in which a scheduler has to answer
PATIENCE_SECONDS = 60  # for a cluster whose last worker went away


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
        self._had_workers = time.monotonic()
        if not self.size():
            self._client.close()
            what = f"the Dask scheduler at {address} has no workers"
            raise UsageError(what, f"start some: dask worker {address} --nthreads 1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this is much to send
            # the result of a task, which is run again elsewhere when the worker that has it dies;
            # of what is scattered Dask keeps one copy after two seconds, whatever was asked for
            self._data = self._client.submit(dict, dict(data), pure=False)
        self._executor = self._client.get_executor(retries=0, pure=False)

    def size(self) -> int:
        try:
            workers: int = sum(self._client.ncores().values())
        except OSError as error:
            raise lost(error) from None
        now = time.monotonic()
        self._had_workers = now if workers else self._had_workers
        if now - self._had_workers > PATIENCE_SECONDS:
            raise UsageError("the Dask cluster has no workers left", f"start some; {GO_ON}")
        return workers

    def submit(self, task: Task) -> "Future[Result]":
        answer: Future[Result] = Future()

        def pass_on(done: "Future[Result]") -> None:
            try:
                answer.set_result(done.result())
            except (CancelledError, OSError) as error:
                answer.set_exception(lost(error))
            except BaseException as error:  # workers that died, or that cannot import this package
                answer.set_result(Result(failed(error), 0.0, machine_name()))

        self._executor.submit(task, self._data).add_done_callback(pass_on)
        return answer

    def restart(self) -> None:
        """Nothing to do: the scheduler goes on with the workers that are left."""

    def close(self) -> None:
        self._client.close()


GO_ON = "all finished trials are kept, and the same command goes on"


def lost(error: BaseException) -> NnscratchError:
    """The error for a scheduler, or for images on workers, that are gone in the middle."""
    what = f"the Dask cluster lost its scheduler or its images ({type(error).__name__})"
    return UsageError(what, f"start it again; {GO_ON}")
