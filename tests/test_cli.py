"""The command line, run as a user runs it."""

import json
import os
import resource
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import kgen
from kgen import cli, data, evaluate, fit, sample
from kgen.errors import KgenError
from kgen.runs import options
from kgen.runs.provenance import commit

SMALL = ["--limit", "64", "--batch-size", "32", "--epochs", "2", "--set", "hidden=(16,)"]


def run(module, *arguments, folder, **environment):
    """A verb in a process of its own: (exit status, standard output, standard error, seconds)."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), **environment}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result.returncode, result.stdout, result.stderr, seconds


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return folder, run("kgen.fit", *SMALL, folder=folder)


def refused(arguments, tmp_path, module="kgen.fit", **environment):
    """The one line with which a verb refuses; its status is 2 and it leaves nothing behind."""
    before = sorted(tmp_path.rglob("*"))
    status, _, errors, _ = run(module, *arguments, folder=tmp_path, **environment)
    assert status == 2, errors
    assert errors.startswith("kgen: ")
    assert errors.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    return errors


def test_fit_ends_with_the_picture_and_the_next_command(trained):
    folder, (status, output, _, _) = trained
    assert status == 0
    *_, picture, following = output.splitlines()
    assert (folder / picture.removeprefix("picture: ")).is_file()
    assert following.startswith("next: python -m kgen.sample runs/vae-digits")


def test_fit_prints_backend_and_device(trained):
    _, (_, output, _, _) = trained
    assert f"backend: {os.environ['KERAS_BACKEND']}" in output
    assert " on " in output


def test_fit_shows_a_progress_bar_with_the_time_left(trained):
    _, (_, _, errors, _) = trained
    assert "4/4 [" in errors
    assert "step" in errors


def test_fit_writes_every_file_of_a_run(trained):
    run_folder = trained[0] / "runs" / "vae-digits"
    files = {str(path.relative_to(run_folder)) for path in run_folder.rglob("*") if path.is_file()}
    assert files == {
        ".lock",
        "run.json",
        "history.csv",
        "losses.png",
        "model/checkpoint.json",
        "model/model.json",
        "model/variables.safetensors",
        "samples/epoch-001.png",
        "samples/epoch-002.png",
        *(
            f"checkpoints/epoch-{epoch}-step-0/{name}"
            for epoch in (1, 2)
            for name in ("checkpoint.json", "model.json", "variables.safetensors")
        ),
    }


def test_run_json_records_what_was_run(trained):
    record = json.loads((trained[0] / "runs/vae-digits/run.json").read_text())
    assert record["status"] == "finished"
    assert record["settings"] == {"hidden": [16]}
    assert record["backend"] == os.environ["KERAS_BACKEND"]
    assert record["seed"] == 0
    assert {"commit", "versions", "device", "command"} <= set(record)


def test_a_commit_is_dirty_when_the_source_was_changed_and_only_then(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.check_output(["git", *identity, *arguments], cwd=tmp_path, text=True)

    source, results = tmp_path / "kgen/fit.py", tmp_path / "results.jsonl"
    source.parent.mkdir()
    monkeypatch.setattr("kgen.runs.provenance.SOURCE", source.parent)
    assert commit() is None
    source.write_text("")
    results.write_text("")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "a")
    head = git("rev-parse", "HEAD").strip()
    results.write_text("a line more")
    assert commit() == head
    source.write_text("changed = True")
    assert commit() == f"{head}-dirty"


def test_history_has_a_row_per_epoch(trained):
    lines = (trained[0] / "runs/vae-digits/history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,")
    assert "val_loss" in lines[0]
    assert len(lines) == 3


def test_a_second_run_takes_a_new_folder(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained[0])
    fit.main(SMALL)
    assert "runs/vae-digits-2" in capsys.readouterr().out


def test_fit_calls_what_the_model_watches_its_training_by(tmp_path, monkeypatch):
    epochs = []
    watcher = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: epochs.append(epoch))
    monkeypatch.setattr(kgen.VAE, "watchers", lambda self: [watcher])
    monkeypatch.chdir(tmp_path)
    fit.main(SMALL)
    assert epochs == [0, 1]


def test_sample_writes_a_picture(trained, tmp_path):
    out = tmp_path / "grid.png"
    sample.main([str(trained[0] / "runs/vae-digits"), "-n", "6", "--out", str(out)])
    assert Image.open(out).size == (3 * 58 + 2, 2 * 58 + 2)


def test_sample_writes_an_array_equal_for_equal_seeds(trained, tmp_path):
    arrays = []
    for name in ("a.npy", "b.npy"):
        arguments = ["-n", "5", "--seed", "3", "--out", str(tmp_path / name)]
        sample.main([str(trained[0] / "runs/vae-digits"), *arguments])
        arrays.append(np.load(tmp_path / name))
    assert arrays[0].shape == (5, 8, 8, 1)
    assert arrays[0].dtype == np.uint8
    np.testing.assert_array_equal(*arrays)


def test_list_shows_models_and_data_sets(capsys):
    fit.main(["--list"])
    output = capsys.readouterr().out
    for name in ("vae", "dcgan", "digits", "mnist", "fashion_mnist", "binarized_mnist", "cifar10"):
        assert f"  {name} " in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "vea"], "Did you mean 'vae'"),
        (["--data", "mnits"], "did you mean 'mnist'"),
        (["--epochs", "none"], "expected a whole number from 1 to 1,000,000,000, received 'none'"),
        (["--epocs", "3"], "--epocs"),
        (["--batch-size", "100000"], "smaller --batch-size"),
        (["--set", "latent_sise=3"], "did you mean latent_size"),
        (["--set", "latent_size=big"], "a whole number from 1 to 65,536, received 'big'"),
        (["--set", "hidden=(1.5,)"], "a tuple such as 500 or (200, 100)"),
        (["--set", "architecture=cnn"], "to be 'dense' or 'conv', received 'cnn'"),
        (["--set", "latent_size"], "key=value"),
        (["--set", "latent_size=0"], "a whole number from 1 to 65,536, received '0'"),
        (["--model", "iwae", "--set", "samples=1000000"], "from 1 to 1,000"),
        (["--model", "wgan", "--set", "critic_steps=1000000000"], "from 1 to 100"),
        (["--model", "glow", "--set", "scales=99"], "from 1 to 12"),
        (["--model", "pixelcnn", "--set", "blocks=100000"], "from 1 to 1,000"),
        (["--set", "levels=2"], "17 levels of digits, received images of shape (8, 8, 1) with 2"),
        (
            ["--set", "image_shape=(4,4,1)"],
            "the images of shape (8, 8, 1) with 17 levels of digits",
        ),
        (["--model", "cvae", "--set", "classes=3"], "10 classes of digits, received labels of 3"),
        (["--seed", "4294967296"], "from 0 to 4,294,967,295, received '4294967296'"),
        (["--seed", "-1"], "from 0 to 4,294,967,295"),
        (["--size", "10000000"], "from 1 to 4,096"),
        (["--limit", "0"], "from 1 to 1,000,000,000"),
        (["--learning-rate", "0"], "above 0 to 10"),
        (["--learning-rate", "nan"], "a finite number"),
        (["--model", "autoencoder", "--evaluate-every", "1"], "that draws new images"),
        (
            ["--model", "mixture_of_gaussians", "--data", "moons", "--evaluate-every", "1"],
            "Expected images for --evaluate-every, received the vectors of moons",
        ),
        (["--model", "nowhere:Model"], "write nowhere.py"),
        (["--model", "json:JSONDecoder"], "to be a kgen.GenerativeModel"),
        (["--model", "json:"], "as module:Class"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.run(fit.main, arguments)
    errors = capsys.readouterr().err
    assert stop.value.code == 2
    assert errors.count("\n") == 1
    assert words in errors
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def one_line(main, arguments, capsys):
    """The one line with which a verb, in this process, refuses."""
    with pytest.raises(SystemExit) as stop:
        cli.run(main, arguments)
    assert stop.value.code == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("kgen: ")]
    return line


@pytest.fixture
def unlabelled(tmp_path, monkeypatch):
    """A folder with grey images in two files, one of them with labels."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), "uint8")
    np.savez("bare.npz", images=images)
    np.savez("labelled.npz", images=images, labels=np.arange(100) % 4)
    return tmp_path


def test_what_cannot_be_measured_is_refused_before_a_run_is_begun(unlabelled, capsys):
    run = [*SMALL, "--data", "bare.npz"]
    assert "sub-folder" in one_line(fit.main, [*run, "--evaluate-every", "1"], capsys)
    assert not (unlabelled / "runs").exists() or not any((unlabelled / "runs").iterdir())
    fit.main([*run, "--out", "run"])
    before = (unlabelled / "run" / "run.json").read_bytes()
    again = ["--resume", "run", "--data", "bare.npz", "--epochs", "3", "--evaluate-every", "1"]
    assert "--evaluate-every: leave it out" in one_line(fit.main, again, capsys)
    assert (unlabelled / "run" / "run.json").read_bytes() == before


def test_a_conditional_model_is_not_evaluated_on_images_without_labels(unlabelled, capsys):
    fit.main([*SMALL, "--data", "bare.npz", "--out", "plain"])
    fit.main([*SMALL, "--model", "cvae", "--data", "labelled.npz", "--out", "run"])
    capsys.readouterr()
    both = ["plain", "run", "--data", "bare.npz", "--json", "figures.json"]
    assert "Expected images with labels, which the CVAE is given" in one_line(
        evaluate.main, both, capsys
    )
    assert not (unlabelled / "figures.json").exists()
    conditional = [*SMALL, "--model", "cvae", "--data", "bare.npz"]
    assert "train on labelled images" in one_line(fit.main, conditional, capsys)
    classes = [*SMALL, "classes=3", "--model", "cvae", "--data", "bare.npz"]
    assert "the conditions of bare, received labels of 3 classes" in one_line(
        fit.main, classes, capsys
    )


def test_unknown_backend(tmp_path):
    assert "'numpy'" in refused([], tmp_path, KERAS_BACKEND="numpy")


def test_no_such_run(tmp_path):
    assert "no such folder" in refused(["nowhere"], tmp_path, module="kgen.sample")


def test_sample_refuses_another_ending(tmp_path):
    words = "end in .png, .txt or .npy"
    assert words in refused(["x", "--out", "x.gif"], tmp_path, module="kgen.sample")


def test_out_that_exists_is_not_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    assert "exists already" in refused(["--out", "mine"], tmp_path)


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    assert "Expected to write" in refused(["--out", "file/run"], tmp_path)


def test_full_disk_leaves_nothing_half_written(tmp_path):
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from kgen import cli, fit; cli.run(fit.main, sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *SMALL, "--set", "latent_size=40", "--out", "run"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert "Expected to write" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert all(path.stat().st_size < 20000 for path in tmp_path.rglob("*") if path.is_file())
    assert not (tmp_path / "run" / "model" / "model.json").exists()


@pytest.mark.parametrize("module", ["kgen.fit", "kgen.sample"])
def test_help_is_quick_and_imports_no_framework(module, tmp_path):
    status, output, _, seconds = run(module, "--help", folder=tmp_path)
    assert status == 0
    assert "usage" in output
    assert seconds < 0.5


def test_import_kgen_is_quick():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import kgen"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_a_model_that_cannot_sample_shows_reconstructions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit.main(["--model", "autoencoder", *SMALL])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("picture: ")
    assert np.asarray(Image.open(tmp_path / last.removeprefix("picture: "))).std() > 10
    with pytest.raises(SystemExit) as stop:
        cli.run(sample.main, ["runs/autoencoder-digits"])
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert errors.splitlines()[-1].startswith("kgen: Autoencoder cannot sample")


@pytest.fixture
def hard_folder(tmp_path):
    """Pictures of 8x6 pixels as they are found in the wild: named in any script, sideways, ..."""
    folder = tmp_path / "мои 写真"
    turned = Image.Exif()
    turned[0x0112] = 6
    random = np.random.default_rng(0)
    for number in range(20):
        (folder / "ñ").mkdir(parents=True, exist_ok=True)
        (folder / "犬").mkdir(exist_ok=True)
        colours = Image.fromarray(random.integers(0, 256, (8, 6, 3), np.uint8))
        colours.save(folder / "ñ" / f"{number}.PNG")
        colours.quantize(16).save(folder / "犬" / f"{number} п.png")
        colours.transpose(Image.Transpose.ROTATE_90).save(
            folder / "犬" / f"{number}.jpg", exif=turned
        )
    return folder


def test_fit_takes_a_folder_of_hard_pictures(hard_folder, tmp_path):
    with Image.open(hard_folder / "ñ" / "0.PNG") as picture:
        for mode in ("1", "L", "LA", "RGBA"):
            picture.convert(mode).save(hard_folder / "ñ" / f"{mode}.png")
    (hard_folder / "Ünlesbar.heic").write_bytes(b"no image")
    arguments = ["--data", hard_folder, "--color", "rgb", *SMALL]
    status, output, errors, _ = run(
        "kgen.fit", *arguments, folder=tmp_path, PYTHONIOENCODING="ascii"
    )
    assert status == 0, errors
    assert r"\u043c\u043e\u0438 \u5199\u771f: 2 epochs of 2 steps" in output
    record = json.loads((tmp_path / "runs" / "vae-мои 写真" / "run.json").read_text())
    assert record["data"]["space"] == "images of shape (8, 6, 3) with 256 levels"
    assert record["data"]["conditions"] == {"condition": "labels of 2 classes"}
    number = [record["data"][f"{part}_images"] for part in ("training", "validation", "test")]
    assert number == [52, 5, 7]
    assert record["data"]["label_names"] == ["ñ", "犬"]
    assert record["options"]["color"] == "rgb"
    assert errors.count("1 other file (1 .heic), such as ") == 1


def test_a_mixture_of_colours_says_which_option_unites_them(hard_folder, tmp_path):
    Image.new("L", (6, 8)).save(hard_folder / "ñ" / "grey.png")
    assert 'mode="rgb" (--color rgb)' in refused(["--data", hard_folder], tmp_path)


@pytest.mark.parametrize(
    ("arguments", "channels"),
    [([], 1), (["--color", "rgb"], 3), (["--color", "gray"], 1), (["--grayscale"], 1)],
)
def test_color_makes_all_images_of_a_set_so(arguments, channels):
    given = options.with_defaults(options.parser().parse_args(arguments))
    assert fit.load_images(given).image_shape == (8, 8, channels)


@pytest.mark.parametrize("arguments", [["--color", "red"], ["--color", "rgb", "--grayscale"]])
def test_colours_that_are_none_or_two_are_an_error(arguments):
    with pytest.raises(KgenError, match="--color"):
        options.parser().parse_args(arguments)


@pytest.mark.parametrize(
    ("stored", "mode"),
    [({"grayscale": True}, "gray"), ({"color": "rgb"}, "rgb")],
)
def test_a_run_is_continued_and_evaluated_in_its_colours(tmp_path, stored, mode):
    write_pictures(tmp_path / "mixed")
    record = {"options": {"model": "vae", "epochs": 1, "batch_size": 1, **stored}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    own = ["--data", str(tmp_path / "mixed")]
    evaluated = evaluate.images_of(tmp_path, evaluate.parser().parse_args([str(tmp_path), *own]))
    given = options.parser().parse_args(["--resume", str(tmp_path), *own])
    expected = data.load(tmp_path / "mixed", mode=mode).checksum
    assert fit.load_images(options.given_again(record, given)).checksum == expected
    assert data.load(**evaluated).checksum == expected


def write_pictures(folder):
    folder.mkdir()
    for name in ("L", "RGB", "RGBA"):
        Image.new(name, (6, 8), "red" if name != "L" else 128).save(folder / f"{name}.png")


def test_damaged_pictures_are_listed_in_one_line(hard_folder, tmp_path):
    for name in ("ñ/3.PNG", "犬/5 п.png", "犬/7.jpg"):
        path = hard_folder / name
        path.write_bytes(path.read_bytes()[:60])
    errors = refused(["--data", hard_folder], tmp_path)
    assert "3 damaged files: ñ/3.PNG (" in errors
    assert "犬/5 п.png (" in errors
    assert "犬/7.jpg (" in errors
