"""The Python API."""

import io
import json
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
from PIL import Image

import mlc_cli as mlc
from mlc_cli.core.datasets.digits import make_digits
from mlc_cli.core.loading.memory import one_or_many, to_pixels
from mlc_cli.core.runs.checkpoint import read_card
from mlc_cli.errors import UsageError

HIDDEN = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "timm", "torchvision") or name == "safetensors.torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hide())
"""


@pytest.fixture
def trained(exported_once: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Image files, from the folder of a run that has been exported."""
    monkeypatch.chdir(exported_once)
    return [str(path) for path in sorted(Path("data/images/val").iterdir())]


@pytest.fixture
def mlc_command(mlc: Any) -> Any:
    """The command, under a name that the package does not have here."""
    return mlc


def as_lines(found: list[mlc.Prediction]) -> list[dict[str, Any]]:
    return [{"labels": one.labels, "probabilities": one.probabilities} for one in found]


def test_importing_is_light_and_every_public_name_is_there() -> None:
    script = "import sys, mlc_cli; print({'numpy', 'torch', 'pydantic'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "set()\n"
    assert all(getattr(mlc, name) for name in mlc.__all__)
    assert set(mlc.__all__) <= set(dir(mlc))
    with pytest.raises(AttributeError, match="no attribute 'gather'"):
        _ = mlc.gather


@pytest.mark.parametrize("name", ["best.safetensors", "export/model.onnx", "export/model.xml"])
def test_predictions_are_those_of_the_command(trained, mlc_command, name: str) -> None:
    path = f"runs/train-1/{name}"
    outcome = mlc_command("predict", *trained, "--checkpoint", path)
    expected = [json.loads(line) for line in outcome.out.splitlines()]
    model = mlc.load(path)
    found = model.predict(trained)
    assert [{"image": one.image, **line} for one, line in zip(found, as_lines(found), strict=True)
            ] == expected  # fmt: skip
    bgr = [cv2.imread(path) for path in trained]
    ways = [
        model.predict(bgr, channels="BGR"),
        model.predict([pixels[..., ::-1] for pixels in bgr]),
        model.predict([Image.open(path) for path in trained]),
        list(model.predict(iter(trained))),
    ]
    assert all(as_lines(way) == as_lines(found) for way in ways)
    assert "image" in found._repr_html_()
    probabilities = 1 / (1 + np.exp(-model.logits(bgr, channels="BGR").astype(float)))
    expected_NC = np.array([one.probabilities_C for one in found])
    np.testing.assert_allclose(probabilities, expected_NC, atol=1e-6)


@pytest.mark.parametrize("name", ["best.safetensors", "export/model.onnx", "export/model.xml"])
def test_threads_and_spawned_processes_share_a_model(trained, name: str) -> None:
    model = mlc.load(f"runs/train-1/{name}")
    expected = as_lines(model.predict(trained))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(model.predict, [trained] * 8))
    assert all(as_lines(one) == expected for one in found)
    assert as_lines(pickle.loads(pickle.dumps(model)).predict(trained)) == expected
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        there = pool.submit(model.predict, trained).result(120)
    for one, line in zip(there, expected, strict=True):  # torch has more threads there
        assert one.labels == line["labels"]
        assert one.probabilities == pytest.approx(line["probabilities"], abs=1e-6)


FORKING = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import mlc_cli as mlc
model, image = mlc.load(sys.argv[1], device="cpu"), sys.argv[2]
expected = list(model.predict([image] * 3, batch_size=1))[2].probabilities_C  # before the fork
child = os.fork()
if not child:
    signal.alarm(60)
    found = list(model.predict([image] * 3, batch_size=1))[2].probabilities_C
    os._exit(int(not np.allclose(found, expected, atol=1e-6)))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("name", ["best.safetensors", "export/model.onnx", "export/model.xml"])
def test_a_model_is_opened_anew_after_a_fork(trained, name: str) -> None:
    command = [sys.executable, "-c", FORKING, f"runs/train-1/{name}", trained[0]]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "2"}, capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "0\n", done.stderr


@pytest.mark.usefixtures("trained")
def test_views_are_those_of_the_command(mlc_command, tmp_path: Path) -> None:
    picture = str(tmp_path / "large.png")
    cv2.imwrite(picture, np.random.default_rng(0).integers(0, 256, (150, 210, 3), np.uint8))
    views = ("--tta", "flip", "--tiles", "2")
    line = json.loads(mlc_command("predict", picture, "--run", "runs/train-1", *views).out)
    model = mlc.load("runs/train-1")
    (found,) = model.predict([picture], tta="flip", tiles=2)
    assert found.probabilities == pytest.approx(line["probabilities"], abs=1e-6)
    assert found.probabilities != model.predict(picture)[0].probabilities
    with pytest.raises(UsageError, match="one view"):
        model.predict(picture, tta="flip", explain=True)


def test_an_iterator_is_read_no_further_than_needed(trained) -> None:
    taken = []

    def images() -> Any:
        for path in trained:
            taken.append(path)
            yield path

    found = mlc.load("runs/latest").predict(images(), batch_size=2)
    assert taken == []
    assert next(found).image == trained[0]
    assert len(taken) < len(trained)


@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_an_exported_model_needs_no_torch(trained, tmp_path: Path, name: str) -> None:
    script = HIDDEN + (
        "import mlc_cli as mlc\n"
        f"path, images = 'runs/train-1/export/{name}', {trained!r}\n"
        "assert len(mlc.load(path).predict(images)) == len(images)\n"
        f"sys.argv = ['mlc', 'predict', *images, '--checkpoint', path, '--gallery',"
        f" {str(tmp_path / 'g.html')!r}, '--draw', {str(tmp_path / 'drawn')!r}]\n"
        "from mlc_cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(list((tmp_path / "drawn").iterdir())) == 24
    assert (tmp_path / "g.html").exists()


@pytest.mark.usefixtures("trained")
def test_only_a_checkpoint_has_a_module() -> None:
    assert mlc.load("runs/latest").module.training is False
    with pytest.raises(mlc.MlcError, match="has no torch module"):
        _ = mlc.load("runs/train-1/export/model.onnx").module


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 3)), "expected uint8 in 0..255, got an array of float64"),
        (np.zeros((4, 4, 2), np.uint8), "expected an array height×width×3"),
        (Image.new("I;16", (4, 4)), "mode I;16"),
        (7, "expected a path, a Pillow image or an array"),
    ],
)
@pytest.mark.usefixtures("trained")
def test_what_is_no_image_is_named(image: Any, words: str) -> None:
    with pytest.raises(mlc.MlcError, match=f"image 0: .*{words}"):
        mlc.load("runs/latest").predict([image])


def test_a_training_and_all_that_follows_in_a_program(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    make_digits(Path("digits"))
    model = {"backbone": "test_vit", "pretrained": False}
    done = mlc.train(preset="quickstart", data="digits", epochs=1, model=model, device="cpu")
    assert done.run.path.name == "quickstart-1"
    fitted = mlc.calibrate(run=done.run.path, method="platt", device="cpu")
    assert fitted.log_losses[fitted.method] < np.log(2)
    chosen = mlc.thresholds(run=str(done.run.path), device="cpu")
    found = mlc.evaluate(run=str(done.run.path), device="cpu")
    assert found.evaluation.thresholds_C == pytest.approx(chosen.per_class_C)
    assert found.evaluation.mean_ap == pytest.approx(done.evaluation.mean_ap)
    scale_C, bias_C = np.array(fitted.affine)
    assert np.allclose(read_card(done.run.best).calibration, np.stack([scale_C, bias_C], 1))
    assert (scale_C > 0).all()
    written = mlc.export(run=str(done.run.path), ir=False)
    assert [file.name for file in written.files] == ["model.onnx"]
    assert mlc.load(written.folder / "model.onnx").classes == mlc.load(done.run.path).classes
    shown = [each._repr_html_() for each in (done, found, written)]
    assert all(text.startswith("<table>") for text in shown)
    assert capfd.readouterr().out == ""


def test_a_data_set_is_converted_in_a_program(tmp_path, capfd) -> None:
    make_digits(tmp_path / "digits")
    made = mlc.convert(source=tmp_path / "digits", dest=tmp_path / "mine")
    read = json.loads((tmp_path / "mine/train.json").read_text())
    assert len(read["images"]) == made.splits["train"].images
    assert f"<td>{made.splits['train'].images}</td>" in made._repr_html_()
    assert capfd.readouterr().out == ""


def test_settings_and_keywords_at_once_are_refused() -> None:
    with pytest.raises(mlc.MlcError, match="not both"):
        mlc.evaluate(mlc.EvalSettings(), split="test")
    with pytest.raises(mlc.MlcError, match="expected EvalSettings or keywords, got 'runs/a'"):
        mlc.evaluate("runs/a")  # type: ignore[arg-type]


@pytest.mark.parametrize("images", [None, 3, b"a.png"])
def test_what_is_neither_an_image_nor_many_is_named(images: Any) -> None:
    with pytest.raises(mlc.MlcError, match="expected an image, or many of them"):
        one_or_many(images)


def test_an_unknown_order_of_channels_is_refused() -> None:
    with pytest.raises(mlc.MlcError, match="channels: expected 'RGB' or 'BGR', got 'bgr'"):
        to_pixels(np.zeros((4, 4, 3), np.uint8), "bgr", "")  # type: ignore[arg-type]


def test_predictions_can_be_compared() -> None:
    one = mlc.Prediction("a.png", np.zeros(2))
    assert [one].index(one) == 0
    assert one != mlc.Prediction("a.png", np.zeros(2))
    assert "1 image<" in mlc.Predictions([one])._repr_html_()


def test_a_web_server_with_a_thread_for_each_request_predicts(trained) -> None:
    model = mlc.load("runs/latest/export/model.onnx")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            (found,) = model.predict([Image.open(io.BytesIO(sent))])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(found.probabilities).encode())

        def log_message(self, *_: object) -> None:
            pass

    def ask(path: str) -> dict[str, float]:
        with urlopen(f"http://127.0.0.1:{server.server_port}", Path(path).read_bytes()) as answer:
            return json.load(answer)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor(8) as pool:
        Thread(target=server.serve_forever, daemon=True).start()
        answers = list(pool.map(ask, trained))
        server.shutdown()
    assert answers == [
        pytest.approx(each.probabilities, abs=1e-6) for each in model.predict(trained)
    ]


def test_the_page_about_python_runs(trained, tmp_path, monkeypatch, exported_once, capfd) -> None:
    page = Path(__file__).parent.parent.parent / ".github/docs/python.md"
    monkeypatch.chdir(tmp_path)
    for name, source in zip("ab", trained, strict=False):
        (tmp_path / f"{name}.png").write_bytes((exported_once / source).read_bytes())
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
    code = code.replace('"runs/latest", split', f'"{exported_once}/runs/latest", split')
    code = code.replace('load("runs/latest")', f'load("{exported_once}/runs/latest")')
    code = code.replace('split="test"', f'split="test", data="{exported_once}/data", workers=0')
    exec(code, {})
    assert len(capfd.readouterr().out.splitlines()) == 3
