"""Finished trials on the disk: whole, at once, and never lost."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from study_rows import design, row

import nnscratch as nn
from nnscratch import runs
from nnscratch.study import design as designs
from nnscratch.study import ledger
from nnscratch.study.ledger import Ledger

ONE = row("sgd", "search", [0.1, 0.25], lr=0.1)
TWO = row("adam", "final", [0.5], test=0.51, seed=3)
BAD = replace(
    row("lookahead", "final", [], seed=4, status="failed"),
    outcome=replace(TWO.outcome, status="failed", message='no, "never"\nagain', val_accuracy=[]),
)


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    for one in (ONE, TWO, BAD):
        Ledger(path).append(one)
    found = Ledger(path).rows
    assert list(found) == [ONE.key, TWO.key, BAD.key]
    assert found[ONE.key] == ONE
    assert found[TWO.key] == TWO
    assert found[BAD.key].outcome.message == 'no, "never" again'


def test_a_trial_of_very_many_epochs_can_be_read_again(tmp_path: Path) -> None:
    kept = Ledger(tmp_path / "trials.csv")
    kept.append(row("sgd", "final", [1 / 3] * 30_000))
    (found,) = ledger.read(tmp_path / "trials.csv")
    assert len(found.outcome.val_accuracy) == 30_000


def test_the_last_row_of_a_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    again = replace(ONE, outcome=replace(ONE.outcome, status="diverged"))
    for one in (ONE, again):
        Ledger(path).append(one)
    assert Ledger(path).rows == {ONE.key: again}
    assert ledger.read(path) == [again]


def test_whoever_reads_a_trial_again_sees_what_the_study_decided_by(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    kept = Ledger(path)
    third = replace(ONE.outcome, val_loss=[1 / 3, 2 / 3], train_loss=[1e-9 / 7, 1e9 / 7])
    kept.append(replace(ONE, outcome=third))
    assert kept.rows == Ledger(path).rows
    assert kept.rows[ONE.key].outcome.val_loss == [0.333333, 0.666667]


def test_a_file_cut_at_any_byte_keeps_all_rows_before_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    for one in (ONE, TWO):
        Ledger(path).append(one)
    whole = path.read_bytes()
    ends = [k + 1 for k, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        reopened = Ledger(path)
        complete = max(sum(end <= cut for end in ends) - 1, 0)
        assert list(reopened.rows.values()) == [ONE, TWO][:complete]
        if cut % 50 == 0:
            reopened.append(TWO)
            assert list(Ledger(path).rows) == list(dict.fromkeys([*reopened.rows, TWO.key]))


def test_a_full_disk_loses_nothing_and_says_what_to_do(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "trials.csv"
    kept = Ledger(path)
    kept.append(ONE)
    before = path.read_bytes()
    write = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(nn.WriteError, match="No space left") as error:
        kept.append(TWO)
    assert "make room" in error.value.fix
    assert path.read_bytes() == before
    monkeypatch.undo()
    kept.append(TWO)
    assert list(Ledger(path).rows) == [ONE.key, TWO.key]


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n",
        ",".join(ledger.COLUMNS).encode() + b"\nx\r,y\n",
        b"\xff\xfe\n",
        b"key\n",
        ",".join(ledger.COLUMNS).encode() + b"\nx,y\n",
    ],
)
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path, content) -> None:
    path = tmp_path / "trials.csv"
    path.write_bytes(content)
    with pytest.raises(nn.UsageError, match="no list of trials"):
        Ledger(path)
    assert path.read_bytes() == content


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nnscratch.runs import alone\n"
        "with alone(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(nn.UsageError, match="another process"), runs.alone(tmp_path):
            pass
        other.kill()
    with runs.alone(tmp_path):  # free again, although the other was killed
        pass


def test_what_goes_wrong_while_a_folder_is_held_is_not_blamed_on_the_folder(tmp_path) -> None:
    with pytest.raises(PermissionError), runs.alone(tmp_path):
        raise PermissionError


def test_a_folder_that_cannot_be_held_is_an_error_in_two_lines(tmp_path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(nn.WriteError, match="No locks available"), runs.alone(tmp_path):
        pass


def test_a_list_of_trials_that_the_disk_does_not_give_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").mkdir()
    with pytest.raises(nn.UsageError, match="cannot be read"):
        ledger.read(tmp_path / "trials.csv")


def test_a_design_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / designs.FILE
    content = design(["adam", "sgd"]).to_json()
    path.write_text(json.dumps(content))
    assert designs.read(tmp_path).epochs == content["epochs"]
    path.write_text(json.dumps(content | {"epochs": content["epochs"] + 1}))
    with pytest.raises(nn.UsageError, match="by hand"):
        designs.read(tmp_path)
