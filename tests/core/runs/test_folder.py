"""Run folders: numbers go up, `latest` follows, nothing is overwritten."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlc_cli.core.runs.folder import RunFolder, create_run, find_checkpoint, open_run
from mlc_cli.errors import RunError


def names(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def test_numbers_go_up_and_latest_follows(tmp_path: Path) -> None:
    output = tmp_path / "some where" / "runs"
    for number in (1, 2, 3):
        run = create_run(output, "train")
        assert run.path == output / f"train-{number}"
        assert (output / "latest").readlink() == Path(f"train-{number}")
    assert names(output) == ["latest", "train-1", "train-2", "train-3"]


def test_names_count_apart(tmp_path: Path) -> None:
    asked = ["a", "a-1", "a", "a-1", "a.b", "a"]
    found = [create_run(tmp_path, name).path.name for name in asked]
    assert found == ["a-1", "a-1-1", "a-2", "a-1-2", "a.b-1", "a-3"]


@pytest.mark.parametrize(
    ("there", "made"),
    [
        (["t-1", "t-3"], "t-4"),
        (["t-9", "t-10"], "t-11"),
        (["t-x", "t-", "t", "t-1.5", "t-²", "-7", "other-9"], "t-1"),
        (["t-007"], "t-8"),
    ],
)
def test_the_number_is_above_all_that_are_there(
    tmp_path: Path, there: list[str], made: str
) -> None:
    for name in there:
        (tmp_path / name).mkdir()
    assert create_run(tmp_path, "t").path.name == made


def test_a_file_in_the_way_counts_too(tmp_path: Path) -> None:
    (tmp_path / "t-1").write_text("mine")
    assert create_run(tmp_path, "t").path.name == "t-2"
    assert (tmp_path / "t-1").read_text() == "mine"


def test_a_link_to_a_run_that_is_gone_is_replaced(tmp_path: Path) -> None:
    create_run(tmp_path, "t").path.rmdir()
    assert create_run(tmp_path, "t").path.name == "t-1"
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").symlink_to("nowhere")
    create_run(tmp_path, "t")
    assert (tmp_path / "latest").resolve() == tmp_path / "t-2"


CREATE = """
import sys
from pathlib import Path
from mlc_cli.core.runs.folder import create_run
sys.stdin.readline()
for _ in range(25):
    run = create_run(Path(sys.argv[1]), "t")
    (run.path / "settings.yaml").touch(exist_ok=False)
    print(run.path.name)
"""


def test_processes_side_by_side_never_share_a_folder(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    made = [name for worker in workers for name in worker.communicate()[0].split()]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sorted(made) == sorted(f"t-{number}" for number in range(1, 76))
    assert open_run(tmp_path / "latest").path.name in made
    assert names(tmp_path, ".*") == []


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match="no run folder can be made there") as caught:
        create_run(tmp_path / "runs", "t")
    assert "--output" in caught.value.hint


def test_a_real_folder_named_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "mine").write_text("x")
    with pytest.raises(RunError, match="no link to the newest run"):
        create_run(tmp_path, "t")
    assert (tmp_path / "latest" / "mine").read_text() == "x"
    assert names(tmp_path) == ["latest"]


def test_latest_is_opened_as_the_run_that_it_points_to(tmp_path: Path) -> None:
    run = create_run(tmp_path, "t")
    run.settings.write_text("")
    assert open_run(tmp_path / "latest") == run
    assert open_run(tmp_path / "t-1") == run


@pytest.mark.parametrize("kind", ["missing", "dangling", "file", "folder"])
def test_what_is_no_run_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run"
    match kind:
        case "dangling":
            path.symlink_to("gone")
        case "file":
            path.write_text("")
        case "folder":
            path.mkdir()
    words = "no such run" if kind in {"missing", "dangling"} else "not a run folder"
    with pytest.raises(RunError, match=words):
        open_run(path)


def test_metrics_come_back_as_they_were(tmp_path: Path) -> None:
    run = create_run(tmp_path, "t")
    assert run.read_metrics() == []
    rows = [{"epoch": 1, "val/mAP": 1 / 3}, {"epoch": 2, "val/mAP": None}]
    run.write_metrics(rows)
    assert run.read_metrics() == rows
    with pytest.raises(ValueError, match="JSON"):
        run.write_metrics([{"val/mAP": float("nan")}])
    assert run.read_metrics() == rows


def test_only_temporary_files_of_our_own_are_removed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    ours = [".trainer.pt.abc12_x9", ".eval-test.json.00000000", ".scores.npz.zzzzzzzz"]
    others = [".gitignore", ".notes.txt", ".trainer.pt.mine.by.hand", ".nfs000000001"]
    for name in (*ours, *others):
        (tmp_path / name).touch()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    run.remove_leftovers()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*others, ".ipynb_checkpoints"]
    )


def test_half_a_line_of_the_metrics_is_cut_off_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text('{"epoch": 1}\n{"epo')
    assert run.read_metrics() == [{"epoch": 1}]
    assert "metrics.jsonl: line 2 is damaged" in caplog.text


def test_a_run_that_another_process_trains_is_refused_until_that_one_is_dead(
    tmp_path: Path,
) -> None:
    program = (
        "import sys, pathlib; from mlc_cli.core.runs.folder import RunFolder\n"
        f"lock = RunFolder(pathlib.Path({str(tmp_path)!r})).lock(); print('up', flush=True)\n"
        "sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "up\n"
    with pytest.raises(RunError, match="is being trained by another process"):
        RunFolder(tmp_path).lock()
    other.kill()
    other.communicate()
    RunFolder(tmp_path).lock().close()


def test_a_run_and_a_checkpoint_of_it_name_each_other(tmp_path: Path) -> None:
    for name in ("settings.yaml", "best.safetensors", "last.safetensors"):
        (tmp_path / name).touch()
    best, last = tmp_path / "best.safetensors", tmp_path / "last.safetensors"
    assert open_run(last).path == tmp_path
    assert find_checkpoint("runs/latest", str(tmp_path)) == best
    assert find_checkpoint(str(last)) == last
    assert find_checkpoint(str(tmp_path)) == best
