"""Native baselines: models of kgen written by hand in each framework, as its users would.

They compute the same losses from the same weights, images and noise (`tests/test_native.py`) and
take the same steps, with none of kgen's code: what kgen costs, or saves, is the ratio of the two
times. Ordinary code of its framework, one file a model: modules and fused Adam, channels first, on
PyTorch; pure functions, compiled with donated state, on JAX; variables, tapes and `tf.function` on
TensorFlow. Each file says where kgen takes another way to the same numbers.

Every file defines a class of the same interface:

    Baseline(image_shape, levels, compiled=False, **settings)

with the arguments of kgen's model that it knows, and the same defaults. Images have any number of
levels; the pixelcnn's are grey.
`compiled` is `torch.compile` of the networks on PyTorch and XLA on TensorFlow; JAX, which always
compiles, has no such argument.

    load(weights)           weights [(path, array)] of kgen's model, in its own order: `weights_of`
    step(images, *noise)    one step on uint8 images (n, height, width, channels), a NumPy array;
                            {term: loss before the step}, scalars the framework may still compute
    synchronise()           waits until all steps are done

`noise` is what kgen's model draws in a step, in its order: normal (n, latent_size) for the vae;
two of those for the dcgan, for the discriminator's and for the generator's update; uniform, of the
images' shape, for the glow; for the edm the same, a uniform number (1,) that sets the noise levels,
and normal noise of the images' shape; none for the pixelcnn. Steps without it draw it with the
framework's own generator, which is what a measurement calls.
"""

import importlib

import numpy as np

MODELS = ("vae", "dcgan", "pixelcnn", "glow", "edm")
VARIANTS = {  # of each framework: {name: arguments of `create`}
    "jax": {"jit": {}},
    "tensorflow": {"graph": {}, "xla": {"compiled": True}},
    "torch": {"eager": {}, "compile": {"compiled": True}},
}
SETTINGS = {"edm": {"classes": 0}}  # of kgen's models, where the baseline knows no condition
FIXED = ("permutation", "sign")


def create(name, framework, image_shape, levels, **settings):
    """The baseline of a model of `MODELS` in a framework of `VARIANTS`."""
    module = importlib.import_module(f"{__name__}.{framework}_{name}")
    return module.Baseline(image_shape, levels, **settings)


def weights_of(model):
    """What a baseline can `load`: [(path, array)] of a kgen model, trainable ones first.

    After them come the fixed matrices of a Glow.
    """
    constants = [v for v in model.non_trainable_variables if v.path.endswith(FIXED)]
    variables = [*model.trainable_variables, *constants]
    return [(variable.path, np.array(variable.numpy())) for variable in variables]


def trainable(weights):
    """The arrays of the trainable variables."""
    return [array for path, array in weights if not path.endswith(FIXED)]


def fixed(weights, name):
    """The arrays of a Glow's fixed matrices of that name, of `FIXED`."""
    return [array for path, array in weights if path.endswith(name)]


def pyramid_sizes(image_shape):
    """Sizes of a dcgan's images, largest first: [(28, 28), (14, 14), (7, 7), (4, 4)]."""
    sizes = [tuple(image_shape[:2])]
    while min(sizes[-1]) > 4:
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes


def whole_kernels(arrays):
    """A pixelcnn's arrays, with one square kernel for every two cropped ones.

    kgen keeps of a masked kernel the rows above the centre (k // 2, k, in, out) and what is not
    masked of its current row (taps, in, out), and pointwise kernels as one such tap.
    """
    whole, rest = [], iter(arrays)
    for array in rest:
        if array.ndim == 4:
            above, own_row = array, next(rest)
            size = above.shape[1]
            array = np.zeros((size, *above.shape[1:]), "float32")
            array[: size // 2] = above
            array[size // 2, : len(own_row)] = own_row
        elif array.ndim == 3:
            array = array[None]  # (1, 1, in, out)
        whole.append(array)
    return whole
