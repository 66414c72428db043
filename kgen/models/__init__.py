"""The registry of models. A new model is its own file and one line here."""

import difflib
import importlib
import importlib.util
from dataclasses import dataclass

from kgen.errors import KgenError


@dataclass(frozen=True)
class Entry:
    """Where a model is defined; nothing is imported, as that would import a framework.

    Attributes:
        module: name of its module; a leading dot makes it relative to this package.
        class_name: name of its class.
        description: one line.
    """

    module: str
    class_name: str
    description: str

    @property
    def home(self):
        """(full name of the module, name of the class), two strings."""
        return importlib.util.resolve_name(self.module, __name__), self.class_name


REGISTRY = {
    "autoencoder": Entry(
        ".autoencoders.autoencoder", "Autoencoder", "autoencoder (Hinton & Salakhutdinov 2006)"
    ),
    "vae": Entry(".autoencoders.vae", "VAE", "variational autoencoder (Kingma & Welling 2013)"),
    "beta_vae": Entry(".autoencoders.beta_vae", "BetaVAE", "beta-VAE (Higgins et al. 2017)"),
    "cvae": Entry(".autoencoders.cvae", "CVAE", "conditional VAE (Sohn et al. 2015)"),
    "iwae": Entry(
        ".autoencoders.iwae", "IWAE", "importance weighted autoencoder (Burda et al. 2015)"
    ),
    "iaf_vae": Entry(
        ".autoencoders.iaf_vae",
        "IAFVAE",
        "VAE with an inverse autoregressive flow as posterior (Kingma et al. 2016)",
    ),
    "vq_vae": Entry(
        ".autoencoders.vq_vae", "VQVAE", "vector-quantised VAE (van den Oord et al. 2017)"
    ),
    "fader": Entry(
        ".autoencoders.fader", "Fader", "autoencoder that translates images (Lample et al. 2017)"
    ),
    "gan": Entry(".gans.gan", "GAN", "generative adversarial network (Goodfellow et al. 2014)"),
    "dcgan": Entry(".gans.dcgan", "DCGAN", "deep convolutional GAN (Radford et al. 2015)"),
    "cgan": Entry(".gans.cgan", "CGAN", "conditional GAN (Mirza & Osindero 2014)"),
    "lsgan": Entry(".gans.lsgan", "LSGAN", "least-squares GAN (Mao et al. 2017)"),
    "wgan": Entry(".gans.wgan", "WGAN", "Wasserstein GAN (Arjovsky et al. 2017)"),
    "wgan_gp": Entry(
        ".gans.wgan_gp", "WGANGP", "Wasserstein GAN with gradient penalty (Gulrajani et al. 2017)"
    ),
    "sngan": Entry(".gans.sngan", "SNGAN", "spectrally normalised GAN (Miyato et al. 2018)"),
    "projection_gan": Entry(
        ".gans.projection_gan",
        "ProjectionGAN",
        "conditional GAN with a projection discriminator (Miyato & Koyama 2018)",
    ),
    "infogan": Entry(
        ".gans.infogan", "InfoGAN", "GAN whose latents have a meaning (Chen et al. 2016)"
    ),
    "pix2pix": Entry(
        ".gans.pix2pix", "Pix2Pix", "image-to-image translation by a GAN (Isola et al. 2016)"
    ),
    "text_to_image_gan": Entry(
        ".gans.text_to_image_gan", "TextToImageGAN", "text to image by a GAN (Reed et al. 2016)"
    ),
    "stackgan": Entry(
        ".gans.stackgan", "StackGAN", "text to image in two stages (Zhang et al. 2017)"
    ),
    "pixelcnn": Entry(
        ".autoregressive.pixelcnn", "PixelCNN", "PixelCNN (van den Oord et al. 2016)"
    ),
    "gated_pixelcnn": Entry(
        ".autoregressive.gated_pixelcnn",
        "GatedPixelCNN",
        "PixelCNN with gates and two stacks (van den Oord et al. 2016)",
    ),
    "pixelrnn": Entry(
        ".autoregressive.pixelrnn",
        "PixelRNN",
        "PixelRNN: Row LSTM or Diagonal BiLSTM (van den Oord et al. 2016)",
    ),
    "fvsbn": Entry(
        ".autoregressive.fvsbn", "FVSBN", "fully visible sigmoid belief network (Frey 1998)"
    ),
    "nade": Entry(
        ".autoregressive.nade",
        "NADE",
        "neural autoregressive distribution estimator (Larochelle & Murray 2011)",
    ),
    "made": Entry(
        ".autoregressive.made",
        "MADE",
        "masked autoencoder for distribution estimation (Germain et al. 2015)",
    ),
    "image_transformer": Entry(
        ".autoregressive.image_transformer",
        "ImageTransformer",
        "autoregressive self-attention (Parmar et al. 2018)",
    ),
    "realnvp": Entry(".flows.realnvp", "RealNVP", "real-valued flow (Dinh et al. 2017)"),
    "glow": Entry(".flows.glow", "Glow", "flow with 1x1 convolutions (Kingma & Dhariwal 2018)"),
    "ddpm": Entry(".diffusion.ddpm", "DDPM", "denoising diffusion (Ho et al. 2020)"),
    "improved_ddpm": Entry(
        ".diffusion.improved_ddpm",
        "ImprovedDDPM",
        "diffusion with learned variances (Nichol & Dhariwal 2021)",
    ),
    "edm": Entry(".diffusion.edm", "EDM", "diffusion with preconditioning (Karras et al. 2022)"),
    "flow_matching": Entry(
        ".diffusion.flow_matching",
        "FlowMatching",
        "straight paths (Lipman et al., Liu et al. 2022)",
    ),
    "mixture_of_gaussians": Entry(
        ".mixtures.mixture_of_gaussians",
        "MixtureOfGaussians",
        "mixture of Gaussians, fitted by EM (Dempster et al. 1977)",
    ),
    "pca": Entry(".mixtures.pca", "PCA", "probabilistic PCA (Tipping & Bishop 1999)"),
    "language_model": Entry(
        ".language.language_model",
        "LanguageModel",
        "language model, recurrent or a transformer (Mikolov et al. 2010)",
    ),
    "sentence_vae": Entry(
        ".language.sentence_vae", "SentenceVAE", "VAE of sentences (Bowman et al. 2015)"
    ),
    "rbm": Entry(
        ".energy.rbm", "RBM", "restricted Boltzmann machine (Smolensky 1986, Hinton 2002)"
    ),
}


def names():
    """The registered models, {name: description of one line}.

    Examples:
        >>> kgen.models.names()["vae"]
        'variational autoencoder (Kingma & Welling 2013)'
    """
    return {name: entry.description for name, entry in REGISTRY.items()}


def homes():
    """{class name: module} of every registered model."""
    return {entry.class_name: entry.home[0] for entry in REGISTRY.values()}


def register(name, model_class):
    """Register a model class of your own as `name`, for this process.

    `create`, `kgen.save` and `kgen.load` then know it by that name. Its description is the first
    line of its docstring. `kgen.testing.check_model` checks it.

    Raises:
        KgenError: if another class is registered as `name`.
    """
    description = (model_class.__doc__ or name).splitlines()[0].rstrip(".")
    entry = Entry(model_class.__module__, model_class.__name__, description)
    known = REGISTRY.setdefault(name, entry)
    if known.home != entry.home:
        raise KgenError(
            f"Expected a new name, received {name!r}, which is {'.'.join(known.home)}: choose "
            "another."
        )


def is_own(name):
    """Whether a name is that of a user's own model, "module:Class"."""
    return ":" in str(name)


def import_own(place):
    """Import the class of a name "module:Class", and register it under that name.

    This runs its code. Call it only with a name that the user gave, never with one from a file.

    Raises:
        KgenError: if there is no such module or class, or the class is not a model.
    """
    module_name, _, class_name = place.partition(":")
    if not module_name or not class_name.isidentifier():
        raise KgenError(f"Expected a model as module:Class, received {place!r}: name both.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name not in _parents(module_name):
            raise  # the module exists; one that it imports does not
        raise KgenError(
            f"Expected a module {module_name!r} in this folder or among the installed ones, for "
            f"the model {place}, received none: write {module_name}.py, or start where it is."
        ) from error
    model_class = getattr(module, class_name, None)
    base = importlib.import_module("kgen.training").GenerativeModel
    if not (isinstance(model_class, type) and issubclass(model_class, base)):
        found = [name for name, value in vars(module).items() if _is_model(value, base)]
        raise KgenError(
            f"Expected {class_name} of {module_name} to be a kgen.GenerativeModel, received "
            f"{type(model_class).__name__}: name one of {', '.join(found) or 'your own'}."
        )
    register(place, model_class)


def _parents(module_name):
    """a.b.c -> a, a.b, a.b.c"""
    parts = module_name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _is_model(value, base):
    return isinstance(value, type) and issubclass(value, base) and value is not base


def check_name(name):
    """Raise KgenError, which suggests the nearest name, unless a model is registered as `name`."""
    if name not in REGISTRY and is_own(name):
        place = str(name)[:60]
        raise KgenError(
            f"Expected a model of kgen, received {place!r}, a class of somebody's own, whose code "
            f"runs only if you name it: pass --model {place}, or in Python "
            f"kgen.models.register({place!r}, TheClass)."
        )
    if name not in REGISTRY:
        nearest = difflib.get_close_matches(str(name), REGISTRY, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise KgenError(
            f"Expected a model, one of {', '.join(REGISTRY)}, received {str(name)[:60]!r}.{hint} "
            "One of your own is module:Class."
        )


def get(name):
    """The model class registered as `name`; KgenError if there is none."""
    check_name(name)
    module, class_name = REGISTRY[name].home
    return getattr(importlib.import_module(module), class_name)


def name_of(model):
    """The name under which the class of `model` is registered; KgenError if there is none."""
    home = (type(model).__module__, type(model).__name__)
    for name, entry in REGISTRY.items():
        if home == entry.home:
            return name
    raise KgenError(
        f"Expected a registered model, one of {', '.join(REGISTRY)}, received "
        f"{type(model).__name__}: save it with model.save('x.keras'), or register it first, "
        f"kgen.models.register('name', {type(model).__name__})."
    )


def create(name, data=None, **settings):
    """A new model of the class registered as `name`, made for `data` (a `kgen.data.Dataset`).

    Arguments that describe the data are taken from it: image shape and levels; for a conditional
    model, the number of classes or the words. `settings` are further arguments of the constructor.

    Raises:
        KgenError: for an unknown name, or data whose items or conditions the model cannot take.

    Examples:
        >>> model = kgen.models.create("cvae", kgen.data.load("digits"), latent_size=4)
        >>> model.image_shape, model.levels, model.classes
        ((8, 8, 1), 17, 10)
    """
    model_class = get(name)
    if data is not None:
        from kgen.models.creation import arguments_of  # needs NumPy: the registry is read without

        settings = {**arguments_of(model_class, data), **settings}
        parameters = importlib.import_module("kgen.description.parameters")
        if missing := parameters.required(model_class) - set(settings):
            raise KgenError(
                f"Expected data that give {' and '.join(sorted(missing))} of {model_class.__name__}"
                f", received {data.name} without: choose other data, or another model."
            )
    return model_class(**settings)
