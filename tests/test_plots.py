"""Plots: files as their names say, legends that cover nothing, ranges that no outlier spoils."""

import itertools
import math
import re

import numpy as np
import pytest

from kgen import pictures, plots
from kgen.errors import KgenError

GRID = np.zeros((4, 8, 8, 1), "uint8")
WRITERS = {
    "grid": lambda path: pictures.save_grid(path, GRID, 17),
    "losses": lambda path: pictures.save_loss_plot(path, {"loss": [3.0, 2.0]}),
    "histograms": lambda path: pictures.save_histograms(path, {"data": np.arange(3.0)}, "nats"),
    "confusion": lambda path: pictures.save_confusion(path, [0, 1], [1, 1]),
    "scatter": lambda path: pictures.save_scatter(path, np.eye(2), [0, 1]),
}
OPENINGS = {
    ".png": b"\x89PNG",
    ".PNG": b"\x89PNG",
    ".jpg": b"\xff\xd8\xff",
    ".jpeg": b"\xff\xd8\xff",
    ".webp": b"RIFF",
    ".tif": b"II*\x00",
    ".tiff": b"II*\x00",
    ".pdf": b"%PDF",
    ".svg": b"<?xml",
}
every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@every_writer
def test_a_file_is_what_its_name_says(write, tmp_path):
    assert {suffix.lower() for suffix in OPENINGS} == set(plots.FORMATS)
    for suffix, opening in OPENINGS.items():
        if suffix == ".svg" and write is WRITERS["grid"]:
            continue
        write(tmp_path / f"l{suffix}")
        assert (tmp_path / f"l{suffix}").read_bytes().startswith(opening)


@every_writer
@pytest.mark.parametrize("name", ["l.txt", "l", "folder.png/l", ".png.npy"])
def test_other_endings_are_refused(write, name, tmp_path):
    with pytest.raises(KgenError, match=r"ends in \.png, \.jpg.*received .*: choose one") as caught:
        write(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_grid_is_no_svg(tmp_path):
    with pytest.raises(KgenError, match=r"\.pdf, received '.*g\.svg'"):
        pictures.save_grid(tmp_path / "g.svg", GRID, 17)


def test_a_long_name_keeps_both_ends():
    assert plots.shortened("runs/vae-mnist") == "runs/vae-mnist"
    short = plots.shortened(f"runs/{40 * 'a'}-mnist-2")
    assert len(short) == 40
    assert short.startswith("runs/aaa")
    assert short.endswith("aaa-mnist-2")


def test_any_number_of_runs_is_told_apart():
    pairs = [tuple(style.values()) for style, _ in zip(plots.styles(), range(110), strict=False)]
    assert len(set(pairs)) == 110
    for (colour, marker), (next_colour, next_marker) in itertools.pairwise(pairs):
        assert colour != next_colour
        assert marker != next_marker


@pytest.mark.parametrize("count", [1, 3, 16, 60])
def test_a_legend_covers_neither_points_nor_axes(count):
    figure = plots.new_figure(4.5, 4.2)
    axes = figure.subplots()
    for number, style in zip(range(count), plots.styles(), strict=False):
        name = plots.shortened(f"runs/a-model-with-a-long-name-on-fashion_mnist-{number}")
        axes.plot(1, 1, linestyle="", label=name, **style)
    axes.set_ylabel("precision")
    plots.legend_beside(figure)
    figure.canvas.draw()
    legend, drawn = figure.legends[0].get_window_extent(), axes.get_tightbbox()
    assert not legend.overlaps(drawn)
    assert legend.x1 <= figure.bbox.x1
    assert legend.y0 >= figure.bbox.y0  # nothing of it is below the figure
    assert drawn.width > 3.5 * figure.dpi
    assert len(figure.legends[0].texts) == count


def test_panels_have_one_legend_between_them():
    figure = plots.new_figure(8, 3)
    first, second = figure.subplots(1, 2)
    first.plot([1, 2], label="training")
    first.plot([2, 1], label="test")
    second.plot([1, 2], label="training")
    plots.legend_beside(figure)
    assert [text.get_text() for text in figure.legends[0].texts] == ["training", "test"]


def test_runs_whose_names_are_shortened_to_the_same_keep_their_entries():
    figure = plots.new_figure(4, 3)
    axes = figure.subplots()
    for _ in range(2):
        axes.plot(1, 1, "o", label="the same")
    plots.legend_beside(figure)
    assert len(figure.legends[0].texts) == 2


def test_without_entries_there_is_no_legend():
    figure = plots.new_figure(4, 3)
    figure.subplots()
    plots.legend_beside(figure)
    assert figure.legends == []


def test_a_bar_of_a_run_that_failed_does_not_flatten_the_others():
    values = {"a": 10.0, "b": 12.0, "c": 20.0, "d": 1e11, "e": np.nan, "f": 13500.0}
    _, axes = plots.bars(values, "Frechet distance")
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([10, 12, 20, 24, 0, 24])
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["10", "12", "20", "1e+11 (cut off)", "nan", "13,500 (cut off)"]


def test_bars_of_usual_lengths_are_whole():
    _, axes = plots.bars({"a": 1.5, "b": -9.0, "c": 4.0}, "nats", errors={"a": 1, "b": 1, "c": 1})
    assert [bar.get_width() for bar in axes.patches] == [1.5, -9, 4]
    _, axes = plots.bars({"a": 0.0, "b": 0.0, "c": 4.0}, "nats")
    assert [bar.get_width() for bar in axes.patches] == [0, 0, 4]


def test_one_value_far_outside_does_not_decide_a_range():
    usual = np.random.default_rng(0).normal(-100, 5, size=500)
    assert plots.plain_range(usual) == (usual.min(), usual.max())
    spoiled = np.append(usual, [-1e11, np.nan, np.inf])
    assert plots.plain_range(spoiled) == (usual.min(), usual.max())
    words = plots.left_out(spoiled, usual.min(), usual.max())
    assert words == f"1 below {usual.min():.4g}, 2 not finite"
    assert plots.left_out(usual, usual.min(), usual.max()) == ""


def test_a_range_holds_every_group():
    low, high = plots.plain_range([-80.0, -75.0, -70.0], [-5000.0, -4990.0], [])
    assert (low, high) == (-5000, -70)


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [3.0, 3.0]])
def test_a_range_is_never_empty(values):
    low, high = plots.plain_range(values)
    assert low < high


def test_a_histogram_says_what_it_leaves_out(tmp_path):
    digits = np.append(np.linspace(-120, -80, 50), -1e11)
    pictures.save_histograms(tmp_path / "h.svg", {"digits": digits, "none": []}, "nats")
    assert "digits (51; left out: 1 below -120)" in (tmp_path / "h.svg").read_text()


def test_curves_show_epochs_between_unmeasured_ones_and_leave_out_what_is_far(tmp_path):
    history = {
        "loss": [1e12, *np.linspace(9, 1, 20)],
        "frechet_distance": [np.nan, 50.0, np.nan, 40.0],
    }
    pictures.save_loss_plot(tmp_path / "l.svg", history)
    drawn = (tmp_path / "l.svg").read_text()
    assert "loss (left out: 1 above 9)" in drawn
    assert "not finite" not in drawn
    assert re.search(r"<!-- frechet_distance -->", drawn)


# === Names and values of strangers ===

STRANGE = ["$\\frac{$", "$x^2$", "\ud800", "\x1b[31m", "a\nb", "m" * 10_000, "损失", "_", ""]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
@pytest.mark.parametrize("name", STRANGE, ids=lambda name: ascii(name)[:12])
def test_names_are_drawn_as_they_are_written(name, suffix, tmp_path, recwarn):
    pictures.save_loss_plot(tmp_path / f"l{suffix}", {name: [1.0, 2.0], f"val_{name}": [1.0, 2.0]})
    pictures.save_histograms(tmp_path / f"h{suffix}", {name[:99]: np.arange(3.0)}, name[:99])
    pictures.save_scatter(tmp_path / f"s{suffix}", np.eye(2), [0, 1], names=[name[:99], "b"])


def test_a_formula_is_drawn_letter_by_letter():
    figure = plots.new_figure(3, 3)
    figure.subplots().set_title("$x^2$")
    assert plots.svg(figure).count("$x^2$")


@pytest.mark.parametrize(
    "values",
    [[1e308, -1e308], [-1e308] * 3, [1e308, 1.0, math.nan], [math.inf, -math.inf], [5e-324, 0.0]],
    ids=str,
)
def test_values_at_the_ends_of_the_floats_are_drawn_or_left_out(values, tmp_path):
    pictures.save_loss_plot(tmp_path / "l.png", {"loss": values, "val_loss": values[::-1]})
    assert all(map(math.isfinite, plots.plain_range(values)))


@pytest.mark.parametrize("count", [0, 101, 4_000])
def test_a_plot_has_a_bounded_number_of_panels(count, tmp_path):
    history = {f"term{number}": [1.0] for number in range(count)}
    with pytest.raises(KgenError, match=f"Expected 1 to 100 terms to plot, received {count}"):
        pictures.save_loss_plot(tmp_path / "l.png", history)
