"""Fixtures: a private cache, small made-up images, and MNIST where it is."""

import os
import shutil

if "PYTEST_XDIST_WORKER" in os.environ:  # processes share the cores: one thread each
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import blas

# who sets the variable promises what the fixture needs
PROMISED = {
    "mnist_folder": "NNSCRATCH_DATA",
    "browser": "NNSCRATCH_BROWSER",
    "pdflatex": "NNSCRATCH_LATEX",
}


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The suite neither reads nor writes the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        blas._remember({"best": ""})  # commands that the tests start keep their kernels
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    """Where the variable of a fixture is set, a test that was skipped for it is one that failed."""
    report = yield
    for fixture, variable in PROMISED.items():
        needed = fixture in getattr(item, "fixturenames", ())
        if report.skipped and needed and os.environ.get(variable):
            report.outcome = "failed"
            report.longrepr = f"skipped, although {variable} is set: {report.longrepr}"
    return report


@pytest.fixture
def toy() -> nn.Split:
    """300 images of 12 bytes in 3 classes, learnable: each class is bright somewhere else."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, 300)
    images = rng.integers(0, 120, (300, 12))
    for k in range(3):
        images[labels == k, 4 * k : 4 * k + 4] += 100
    return nn.Split(images.astype(np.uint8), labels, unit=255.0)


@pytest.fixture(scope="session")
def mnist_folder() -> str:
    """The folder that NNSCRATCH_DATA names; with it set, MNIST that is missing is a failure."""
    folder = os.environ.get("NNSCRATCH_DATA")
    if not folder:
        pytest.skip("set NNSCRATCH_DATA to the folder with the four MNIST files")
    return folder


@pytest.fixture(scope="session")
def mnist(mnist_folder: str) -> nn.Dataset:
    return nn.load_dataset("mnist", data_dir=mnist_folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium that reaches no network."""
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if not driver or not chromium:
        pytest.skip("install chromium and chromedriver to look at the page")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "host-resolver-rules=MAP * ~NOTFOUND",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        found.execute_cdp_cmd("Network.enable", {})
        found.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )
        yield found
    finally:
        found.quit()


@pytest.fixture
def drawn(monkeypatch) -> list[Any]:
    """The figures that were drawn, to be looked into."""
    import matplotlib.figure

    figures, save = [], matplotlib.figure.Figure.savefig

    def saving(figure, *args, **kwargs):
        figures.append(figure)
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", saving)
    return figures


@pytest.fixture(autouse=True)
def _no_number_goes_wrong_in_silence() -> Iterator[None]:
    """Overflow, division by zero and nan are errors, but where the code expects them.

    Not underflow: exp(-200) is 0 in single precision, and rightly so.
    """
    with np.errstate(all="raise", under="ignore"):
        yield
