"""How much the latents of a variational autoencoder say about the items."""

import numpy as np

ACTIVE = 0.01  # variance over items of a posterior mean, above which a latent is active
ROWS = 500  # per block of the log-densities (n, n)


def posterior_figures(mean, log_variance, seed=0):
    """KL, mutual information and active units of normal posteriors q(z|x) = N(mean, variance).

    Args:
        mean, log_variance: of n items, (n, d) each.
        seed: of the draws z, one for each item.

    Returns:
        {"kl": mean over items of KL( q(z|x) || N(0, I) ) in nats;
        "mutual_information": of x and z in nats, E[ log q(z|x) - log q(z) ] with q(z) the mean of
        the n posteriors: at most log n, and slightly below 0 by chance where it is 0 (Hoffman &
        Johnson 2016; He et al. 2019, arXiv:1901.05534);
        "active_units": number of latents whose posterior mean varies over items by more than 0.01
        (Burda et al. 2015, arXiv:1509.00519); "units": d}.

    Examples:
        >>> far = kgen.metrics.posterior_figures(np.array([[-9.0], [9.0]]), np.full((2, 1), -4.0))
        >>> round(far["mutual_information"], 3), far["active_units"]  # log 2, and one
        (0.693, 1)
    """
    mean, log_variance = (np.asarray(part, "float64") for part in (mean, log_variance))
    count, size = mean.shape
    kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1.0).sum(axis=1).mean()
    noise = np.random.default_rng(seed).standard_normal(mean.shape)
    draws = mean + np.exp(0.5 * log_variance) * noise
    own = -0.5 * (noise**2 + log_variance + np.log(2 * np.pi)).sum(axis=1)  # log q(z|x)
    blocks = (draws[start : start + ROWS] for start in range(0, count, ROWS))
    log_q = np.concatenate([_log_mixture(block, mean, log_variance) for block in blocks])
    return {
        "kl": float(kl),
        "mutual_information": float((own - log_q).mean()),
        "active_units": int((mean.var(axis=0) > ACTIVE).sum()),
        "units": size,
    }


def _log_mixture(draws, mean, log_variance):
    """log of the mean over n posteriors of their densities at each draw, in nats."""
    precision = np.exp(-log_variance)
    constant = (log_variance + np.log(2 * np.pi) + mean**2 * precision).sum(axis=1)
    squares = draws**2 @ precision.T - 2 * draws @ (mean * precision).T + constant
    return np.logaddexp.reduce(-0.5 * squares, axis=1) - np.log(len(mean))
