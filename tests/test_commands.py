"""The commands: `python -m nnscratch` lists all of them, and each of them explains itself."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nnscratch import __main__ as listing
from nnscratch.command_line import run

PACKAGE = Path(listing.__file__).parent
RUN = "sys.exit(run(main))"  # the last line of a command


def test_no_command_is_missing_from_the_list() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if RUN in path.read_text(encoding="utf-8")]
    names = {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in files}
    assert {"train", "compare", "check"} < names
    assert set(listing.commands()) == names - {"__main__"}


@pytest.mark.parametrize("name", listing.commands())
def test_a_command_answers_help_and_says_first_what_it_does(name: str, capsys) -> None:
    module = importlib.import_module(f"nnscratch.{name}")
    with pytest.raises(SystemExit) as left:
        run(module.main, ["--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m nnscratch.{name} ")
    first_line = (module.__doc__ or "").partition("\n")[0]
    assert re.fullmatch(rf"[A-Z][^:]+[^:.]: python -m nnscratch\.{name}( .+)?", first_line)


def test_the_list_is_printed_as_lines_that_fit_a_terminal() -> None:
    program = [sys.executable, "-m", "nnscratch"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    *lines, last = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    typed = [line.partition("  ")[0] for line in lines]
    assert typed == [f"python -m nnscratch.{name}" for name in sorted(listing.commands())]
    assert "python -m nnscratch.train      Train a multilayer perceptron on MNIST" in lines
    assert max(map(len, lines)) <= 100
    assert last == "Each tells its flags with --help."


def test_files_are_read_and_not_run_and_others_are_left_out(tmp_path, monkeypatch) -> None:
    files = {
        "boom": '"""Go off: python -m nnscratch.boom NOW\n\nMore."""\n1 / 0\ndef main(): ...\n',
        "plain": '"""Nothing to type.\n\nMore."""\ndef main(): ...\n',
        "quiet": '"""No command: it only runs."""\nif __name__ == "__main__":\n    print()\n',
        "method": "class Inner:\n    def main(self): ...\n",
        "_hidden": "def main(): ...\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(listing, "FOLDER", tmp_path)
    assert listing.commands() == {"boom": "Go off", "plain": "Nothing to type."}


@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        (["train"], "type python -m nnscratch.train"),
        (["train", "--opt", "my opt.py:A"], "type python -m nnscratch.train --opt 'my opt.py:A'"),
        (["trian"], "did you mean 'train'?"),
        (["--opt"], "see python -m nnscratch --help"),
    ],
    ids=["its name", "with its flags", "misspelt", "a flag"],
)
def test_a_wrong_guess_is_told_what_to_type(typed: list[str], fix: str, capsys) -> None:
    assert run(listing.main, typed) == 2
    error, cure = capsys.readouterr().err.splitlines()
    assert error.startswith("nnscratch: error: ")
    assert cure.startswith(f"fix: {fix}")


def test_the_list_answers_help_too(capsys) -> None:
    with pytest.raises(SystemExit) as left:
        run(listing.main, ["--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("usage: python -m nnscratch ")
