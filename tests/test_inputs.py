"""What `fit` and `evaluate` are given: obeyed, converted, or refused in one line."""

import itertools
import pickle
import re

import h5py
import keras
import numpy as np
import pytest
from keras import layers, ops

import kgen
from kgen.testing.comparing import array
from kgen.training.inputs import BatchCheck, Collate

LEVELS, CLASSES, BATCH = 17, 4, 16
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, LEVELS, (3 * BATCH, 8, 8, 1)).astype("uint8")
LABELS = np.arange(3 * BATCH) % CLASSES
BRIGHT = np.where(np.arange(3 * BATCH)[:, None, None, None] < 2 * BATCH, IMAGES, np.uint8(200))
TINY = {"image_shape": (8, 8, 1), "levels": LEVELS, "latent_size": 2, "hidden": (8,)}


def vae(**settings):
    kgen.set_seed(0)
    model = kgen.VAE(**{**TINY, **settings})
    model.compile()
    return model


def cvae():
    kgen.set_seed(0)
    model = kgen.CVAE(classes=CLASSES, **TINY)
    model.compile()
    return model


def gan():
    kgen.set_seed(0)
    sizes = {"generator_units": (8,), "discriminator_units": (8,)}
    return kgen.GAN((8, 8, 1), LEVELS, architecture="dense", latent_size=2, **sizes)


class Batches(keras.utils.PyDataset):
    """Three batches of images, with labels or without."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = parts

    def __len__(self):
        return 3

    def __getitem__(self, index):
        chosen = slice(BATCH * index, BATCH * (index + 1))
        return tuple(part[chosen] for part in self.parts)


class Alone(Batches):
    """Batches that are images and no tuples."""

    def __getitem__(self, index):
        return super().__getitem__(index)[0]


def batches(*parts):
    """A generator of the same batches."""
    return (Batches(*parts)[index] for index in range(3))


@pytest.fixture
def says():
    """`with says("...")`: a KgenError of one line that begins so and ends with what to do."""

    def expect(beginning):
        return pytest.raises(kgen.KgenError, match=f"^{re.escape(beginning)}[^\n]*: [^\n]+$")

    return expect


def weights(model):
    return [array(variable.value) for variable in model.variables]


def same(first, second):
    """Whether two arrays, or lists or tuples of them, are equal."""
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    return len(first) == len(second) and all(map(same, first, second))


# === Arguments ===


@pytest.mark.parametrize(
    "argument", [{"class_weight": {0: 1.0, 1: 2.0}}, {"sample_weight": np.ones(3 * BATCH)}]
)
@pytest.mark.parametrize("x", [IMAGES, Batches(IMAGES)], ids=["array", "batches"])
def test_weights_of_images_are_refused(says, x, argument):
    with says(f"Expected no {next(iter(argument))}"):
        vae().fit(x, verbose=0, **argument)


def test_sample_weights_are_refused_in_evaluate_and_in_batches(says):
    with says("Expected no sample_weight"):
        vae().evaluate(IMAGES, sample_weight=np.ones(3 * BATCH), verbose=0)
    with says("Expected no sample_weight"):
        vae().fit(Batches(IMAGES, LABELS, np.ones(3 * BATCH)), verbose=0)
    with says("Expected no sample_weight"):
        vae().fit(IMAGES, validation_data=(IMAGES, LABELS, np.ones(3 * BATCH)), verbose=0)


@pytest.mark.parametrize(
    "argument", [{"validation_split": 0.5}, {"batch_size": 8}, {"initial_step": 1}], ids=str
)
def test_arguments_about_arrays_are_refused_for_batches(says, argument):
    (name, value), *_ = argument.items()
    with says(f"Expected images as an array for {name}={value}, received batches"):
        vae().fit(Batches(IMAGES), verbose=0, **argument)


@pytest.mark.parametrize("value", [0, -1, 1.5, "8"])
@pytest.mark.parametrize(
    "name", ["batch_size", "steps_per_epoch", "validation_steps", "validation_freq"]
)
def test_numbers_of_fit_that_are_none(says, name, value):
    with says(f"Expected {name} to be a whole number from 1 to 1,000,000,000, received {value!r}"):
        vae().fit(IMAGES, validation_data=IMAGES, verbose=0, **{name: value})


@pytest.mark.parametrize("name", ["epochs", "initial_epoch"])
def test_numbers_of_fit_that_may_be_0(says, name):
    assert vae().fit(IMAGES, verbose=0, **{"epochs": 1, name: 0}) is not None
    with says(f"Expected {name} to be a whole number from 0"):
        vae().fit(IMAGES, verbose=0, **{name: -1})


def test_numbers_of_evaluate(says):
    assert len(vae().evaluate(IMAGES, batch_size=np.int64(BATCH), verbose=0)) == 3
    for name in ("batch_size", "steps"):
        with says(f"Expected {name} to be a whole number from 1"):
            vae().evaluate(IMAGES, verbose=0, **{name: -1})


def test_conditions_beside_batches_are_refused(says):
    with says("Expected conditions within the batches"):
        cvae().fit(Batches(IMAGES), LABELS, verbose=0)


def test_a_validation_split_leaves_images_for_both(says):
    with says("Expected a validation_split that leaves some for both, received 0.001"):
        vae().fit(IMAGES, validation_split=0.001, verbose=0)


@pytest.mark.parametrize("fraction", [1.0, 2.0, -0.5, "a", np.nan])
def test_a_validation_split_is_a_fraction(says, fraction):
    with says("Expected validation_split to be"):
        vae().fit(IMAGES, validation_split=fraction, verbose=0)


# === Arrays of every kind ===

KINDS = {
    "list": list,
    "nested list": lambda images: images.tolist(),
    "tensor": ops.convert_to_tensor,
    "list of tensors": lambda images: [ops.convert_to_tensor(image) for image in images],
    "split": kgen.data.Split,
    "batches without tuples": Alone,
    "generator": batches,
}


@pytest.fixture(scope="module")
def of_an_array():
    """Losses of images given as a NumPy array, in order."""
    return vae().fit(IMAGES, batch_size=BATCH, shuffle=False, verbose=0).history


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_images_trains_alike(of_an_array, kind):
    x = KINDS[kind](IMAGES)
    how = {} if isinstance(x, Alone) or kind == "generator" else {"batch_size": BATCH}
    history = vae().fit(x, shuffle=False, verbose=0, **how).history
    assert history == pytest.approx(of_an_array, rel=1e-6)


def test_an_hdf5_data_set_is_shuffled_as_an_array(tmp_path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["x"] = IMAGES
        received = vae().fit(file["x"], verbose=0).history
    assert received == vae().fit(IMAGES, verbose=0).history


@pytest.mark.parametrize(
    "given", [(list(IMAGES),), [IMAGES], IMAGES, kgen.data.Split(IMAGES, LABELS), Batches(IMAGES)]
)
def test_every_kind_of_validation_data(given):
    model = vae()
    history = model.fit(IMAGES, verbose=0, validation_data=given).history
    assert np.isfinite(history["val_loss"]).all()


def test_labels_of_a_split_enter_a_conditional_model():
    split = kgen.data.Split(IMAGES, LABELS)
    expected = cvae().fit(IMAGES, LABELS, verbose=0).history
    assert cvae().fit(split, verbose=0).history == expected
    assert cvae().fit(IMAGES, LABELS.tolist(), verbose=0).history == expected


@pytest.mark.parametrize(
    "x",
    [None, "digits", {"images": IMAGES}, 3, [IMAGES[0], IMAGES[1, :4]]],
    ids=["None", "name", "dict", "number", "sizes"],
)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_what_is_no_images_is_refused(says, method, x):
    with says("Expected "):
        getattr(vae(), method)(x, verbose=0)


def test_a_whole_data_set_is_refused(says):
    with says("Expected uint8 images, a kgen.data.Split"):
        vae().fit(kgen.data.load("digits"), verbose=0)


def test_wrong_validation_data_are_refused_before_an_epoch(says):
    model = vae()
    before = weights(model)
    with says("Expected validation_data (images,)"):
        model.fit(IMAGES, validation_data=list(IMAGES), verbose=0)
    with says("Expected values 0..16"):
        model.fit(IMAGES, validation_data=(BRIGHT,), verbose=0)
    assert same(weights(model), before)


@pytest.mark.parametrize("method", ["log_prob", "encode", "reconstruct"])
def test_lists_and_tensors_for_inference(method):
    model = vae()
    expected = getattr(model, method)(IMAGES[:3])
    if method == "log_prob":
        expected = model.log_prob(IMAGES[:3], seed=0)
        received = [model.log_prob(x, seed=0) for x in (list(IMAGES[:3]), tensor(IMAGES[:3]))]
    else:
        received = [getattr(model, method)(x) for x in (list(IMAGES[:3]), tensor(IMAGES[:3]))]
    assert all(same(each, expected) for each in received)


def tensor(images):
    return ops.convert_to_tensor(images)


# === Labels ===

WRONG_LABELS = {
    "negative": (LABELS - 1, "Expected labels 0..3 (classes=4), received -1 to"),
    "too large": (LABELS + 1, "Expected labels 0..3 (classes=4), received "),
    "a column": (LABELS[:, None], "Expected {n} labels, whole numbers of shape ({n},)"),
    "one-hot": (np.eye(4, dtype="float32")[LABELS], "Expected {n} labels, whole numbers"),
    "strings": (LABELS.astype(str), "Expected {n} labels, whole numbers"),
    "floats": (LABELS.astype("float32"), "Expected {n} labels, whole numbers"),
}


@pytest.mark.parametrize("labels", WRONG_LABELS)
def test_wrong_labels_are_refused_alike_in_arrays_and_batches(says, labels):
    labels, message = WRONG_LABELS[labels]
    with says(message.format(n=3 * BATCH)):
        cvae().fit(IMAGES, labels, verbose=0)
    for made in (Batches, batches):
        with says(message.format(n=BATCH)):
            cvae().fit(made(IMAGES, labels), verbose=0)


def test_a_number_of_labels_that_is_none_of_the_images(says):
    for model in (vae(), cvae()):
        with says("Expected "):
            model.fit(IMAGES, LABELS[:20], verbose=0)


def test_labels_that_enter_no_model_are_left_behind():
    model = vae()
    seen = []
    step = model.train_step
    model.train_step = lambda data: seen.append(len(data)) or step(data)
    model.compile(run_eagerly=True)
    model.fit(IMAGES, LABELS, batch_size=BATCH, verbose=0)
    assert set(seen) == {1}


# === Values of batches ===


@pytest.mark.parametrize("made", [Batches, batches])
def test_levels_beyond_the_models_in_a_later_batch(says, made):
    for run in (vae().fit, vae().evaluate):
        with says("Expected values 0..16 (levels=17), received up to 200"):
            run(made(BRIGHT), verbose=0)


def test_a_later_batch_of_another_dtype(says):
    def batches():
        yield from (IMAGES[:BATCH], IMAGES[:BATCH], IMAGES[:BATCH].astype("float32"))

    for run in (vae().fit, vae().evaluate):
        with says("Expected uint8 images of shape (n, 8, 8, 1), received float32"):
            run(batches(), verbose=0)


def test_levels_beyond_a_gans(says):
    model = gan()
    model.compile()
    with says("Expected values 0..16 (levels=17), received up to 200"):
        model.fit(Batches(BRIGHT), verbose=0)


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_labels_beyond_the_models_in_a_later_batch(says, label):
    labels = np.where(np.arange(3 * BATCH) < 2 * BATCH, LABELS, label)
    for run in (cvae().fit, cvae().evaluate):
        with says("Expected labels 0..3 (classes=4), received "):
            run(Batches(IMAGES, labels), verbose=0)


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_labels_of_every_whole_dtype(dtype):
    labels = np.maximum(LABELS, 1).astype(dtype)  # none is 0
    loss = cvae().fit(Batches(IMAGES, labels), verbose=0).history["loss"]
    assert loss == cvae().fit(Batches(IMAGES, labels.astype("int32")), verbose=0).history["loss"]


def test_after_wrong_batches_right_ones_train_and_validate():
    model = vae()
    with pytest.raises(kgen.KgenError):
        model.evaluate(Batches(BRIGHT), verbose=0)
    history = model.fit(Batches(IMAGES), validation_data=Batches(IMAGES), verbose=0).history
    assert np.isfinite([history["loss"], history["val_loss"]]).all()


def test_a_non_finite_loss_of_right_batches_is_the_losss(says):
    model = vae()
    model.compile(keras.optimizers.SGD(float("inf")))
    with pytest.raises(kgen.NonFiniteLossError, match="Try a lower learning rate"):
        model.fit(Batches(IMAGES), epochs=2, verbose=0)


def test_a_loaders_batches_are_checked_where_they_are_collated(says):
    """Of PyTorch's DataLoader this is the part that is kgen's; see `test_cross_backend.py`."""
    pytest.importorskip("torch", reason="batches of a DataLoader are PyTorch's tensors")
    check = BatchCheck(cvae())
    items = list(zip(IMAGES, LABELS, strict=True))

    def collate(items):
        images, labels = zip(*items, strict=True)
        return [np.stack(images), np.array(labels)]

    images, labels = Collate(collate, check)(items)
    assert (images.shape, labels.shape) == (IMAGES.shape, LABELS.shape)
    with says("Expected batches (images, labels) for CVAE"):
        Collate(np.stack, check)(list(IMAGES))
    to_workers = pickle.dumps(Collate(np.stack, BatchCheck(vae())))
    (images,) = pickle.loads(to_workers)(list(IMAGES))
    assert images.shape == IMAGES.shape


# === The data's order ===


def trained(*fits, **settings):
    model = vae(**settings)
    for fit in fits:
        model.fit(IMAGES, batch_size=BATCH, verbose=0, **fit)
    return weights(model)


def test_fit_goes_on_where_it_was():
    at_once = trained({"epochs": 3})
    assert same(trained({"epochs": 1}, {"epochs": 1}, {"epochs": 1}), at_once)
    assert same(trained({"epochs": 2}, {"epochs": 3, "initial_epoch": 2}), at_once)


def order_of(model, fits):
    """The first pixel of every image, as the step meets them in each fit."""
    met = []
    step = model.train_step

    def watched(data):
        met[-1].append(array(data[0])[:, 0, 0, 0].tolist())
        return step(data)

    model.train_step = watched
    model.compile(run_eagerly=True)
    for _ in range(fits):
        met.append([])
        model.fit(IMAGES, batch_size=BATCH, verbose=0)
    model.train_step = step
    return met


@pytest.mark.parametrize("player", [None, "generator"])
def test_every_fit_has_an_order_of_its_own(player):
    model = gan()
    if player:
        getattr(model, player).trainable = False
    orders = order_of(model, fits=3)
    assert len({str(order) for order in orders}) == 3


def test_compiling_begins_the_order_anew():
    model = vae()
    (first,), (again,) = order_of(model, 1), order_of(model, 1)
    assert first == again


def test_dynamic_binarisation_is_drawn_anew_by_every_fit():
    data = kgen.data.load("digits", binarize="dynamic").limit(BATCH)
    model = kgen.VAE(**{**TINY, "levels": 2})
    met = []
    step = model.train_step
    model.train_step = lambda data: met.append(int(array(data[0]).sum())) or step(data)
    model.compile(run_eagerly=True)
    for _ in range(4):
        model.fit(data.train, batch_size=BATCH, verbose=0)
    assert len(set(met)) > 1


# === Frozen layers ===


def test_freezing_asks_for_compile(says):
    model = vae()
    model.fit(IMAGES, verbose=0)
    model.encoder.trainable = False
    before, decoder = weights(model), weights(model.decoder)
    for run in (model.fit, model.evaluate):
        with says("Expected the trainable variables of compile()"):
            run(IMAGES, verbose=0)
    assert same(weights(model), before)
    encoder = weights(model.encoder)
    model.compile()
    model.fit(IMAGES, verbose=0)
    assert same(weights(model.encoder), encoder)
    assert not same(weights(model.decoder), decoder)


def test_freezing_in_a_callback_asks_for_compile(says):
    model = vae()

    def freeze(epoch, logs):
        model.encoder.trainable = epoch == 0

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=freeze)
    with says("Expected the trainable variables of compile()"):
        model.fit(IMAGES, epochs=3, callbacks=[callback], verbose=0)
    assert all(np.isfinite(each).all() for each in weights(model))


def test_a_frozen_player_stays_as_it_is():
    model = gan()
    model.generator.trainable = False
    model.compile()
    before = weights(model.generator), weights(model.discriminator)
    model.fit(IMAGES, verbose=0)
    # (Its batch statistics go on, as those of every network that takes part in training.)
    kernels = ["kernel" in variable.path for variable in model.generator.variables]
    after = itertools.compress(weights(model.generator), kernels)
    assert same(list(after), list(itertools.compress(before[0], kernels)))
    assert not same(weights(model.discriminator), before[1])


def test_a_frozen_model_trains_nothing():
    model = vae()
    model.trainable = False
    model.compile()
    before = weights(model.encoder)
    assert np.isfinite(model.fit(IMAGES, verbose=0).history["loss"]).all()
    assert same(weights(model.encoder), before)


# === What layers add to the loss ===


class Adding(layers.Layer):
    """Adds the mean of its inputs to the loss."""

    def call(self, x):
        self.add_loss(ops.mean(x))
        return x


class Regularized(kgen.ImageModel):
    """One dense layer of the model's own; its objective is 0."""

    def __init__(self, image_shape=(8, 8, 1), levels=LEVELS, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.dense = layers.Dense(
            2,
            kernel_initializer="ones",
            kernel_regularizer=keras.regularizers.L2(0.5),
            activity_regularizer=keras.regularizers.L1(0.25),
        )
        self.dense.build((None, 64))
        self.adding = Adding()
        self.adding.build((None, 2))

    def recommended_optimizer(self):
        return keras.optimizers.SGD(0.01)

    def objective(self, images, labels, training):
        for _ in range(2):  # as a discriminator is called for real and generated images
            outputs = self.adding(self.dense(ops.reshape(self.scale(images), (-1, 64))))
        return 0.0 * ops.sum(outputs), {}


def test_what_layers_add_is_in_the_loss():
    model = Regularized()
    model.compile()
    found = model.evaluate(IMAGES, batch_size=len(IMAGES), verbose=0, return_dict=True)["loss"]
    sums = (IMAGES / 8.0 - 1.0).reshape(len(IMAGES), 64).sum(axis=1)  # of kernels of ones
    activity = 0.25 * 2 * np.abs(sums).mean()  # two units
    expected = 0.5 * 128 + 2 * activity + 2 * sums.mean()
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_layers_add_has_its_gradient():
    model = Regularized()
    model.dense.activity_regularizer = None
    model.adding.add_loss = lambda loss: None
    model.compile()
    model.train_on_batch(IMAGES)
    np.testing.assert_allclose(array(model.dense.kernel.value), 1 - 0.01 * 2 * 0.5, rtol=1e-5)


def test_a_player_learns_from_what_its_own_layers_add():
    model = gan()
    kernels = {}
    for player in model.players:
        kernel = getattr(model, player).trainable_variables[0]
        kernel.regularizer = keras.regularizers.L2(1.0 if player == "generator" else 0.0)
        kernels[player] = array(kernel.value)
    rate = 1e-3
    model.compile({player: keras.optimizers.SGD(rate) for player in model.players})
    logs = model.test_on_batch(IMAGES, return_dict=True)
    plain = gan()
    plain.compile()
    expected = plain.test_on_batch(IMAGES, return_dict=True)
    difference = logs["generator_loss"] - expected["generator_loss"]
    assert difference == pytest.approx(np.sum(kernels["generator"] ** 2), rel=1e-4)
    assert logs["discriminator_loss"] == pytest.approx(expected["discriminator_loss"], rel=1e-5)


def test_a_penalty_of_gradients_adds_nothing_of_its_layers():
    """R1 calls the discriminator once more, for a gradient, which is no call to pay for."""
    model = gan()
    model.discriminator.layers[1].activity_regularizer = keras.regularizers.L1(1.0)
    model.compile()
    without = model.test_on_batch(IMAGES, return_dict=True)["discriminator_loss"]
    kgen.set_seed(0)
    sizes = {"generator_units": (8,), "discriminator_units": (8,)}
    penalised = kgen.GAN(
        (8, 8, 1), LEVELS, architecture="dense", latent_size=2, r1_weight=1e-6, **sizes
    )
    penalised.discriminator.layers[1].activity_regularizer = keras.regularizers.L1(1.0)
    penalised.compile()
    found = penalised.test_on_batch(IMAGES, return_dict=True)["discriminator_loss"]
    assert found == pytest.approx(without, rel=1e-4)
