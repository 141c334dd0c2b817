"""Scores of how well frozen features (N, D) suit labels (N,), without training a head; higher is better for each.

All work in the row space of the centred features: with F = U s V', one eigendecomposition of the smaller Gram matrix
gives coordinates Z = U s (N, k) that keep every inner product, so N < D costs no more than N x N.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headstart.data.folds import grouped_folds
from headstart.errors import DataError
from headstart.metrics.calibration import tempered_log_loss

Floats = npt.NDArray[np.float64]
AnyFloats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

KNN_CELLS = 8_000_000
"""Most similarities held in memory at once."""


def log_me(features: AnyFloats, labels: Ints) -> float:
    """Log evidence per row of a Bayesian linear model on the features, mean over classes.

    features: (N, D). labels: (N,). Raises DataError if fewer than two classes occur.
    Source: You et al. 2021, with two corrections: the log-determinant covers all D dimensions, which their code cuts
    at min(N, D); and centred columns count as N - 1 observations, because with N the evidence of N < D features has
    no maximum (the centred direction alone rewards beta -> infinity).
    """
    z, spectrum = _row_space(features)
    onehot = _onehot(labels)
    y = onehot - onehot.mean(0)  # (N, C)
    x = (z.T @ y) / np.sqrt(spectrum)[:, None]  # U'y: (k, C)
    rest = np.maximum((y**2).sum(0) - (x**2).sum(0), 0.0)  # (C,)
    evidence, _, _ = _evidence(spectrum, x, rest, len(labels) - 1, features.shape[1])
    return float(evidence.mean() / len(labels))


def h_score(features: AnyFloats, labels: Ints) -> float:
    """Between-class variance in the metric of the shrunk covariance: (1 - a) tr(S_a^-1 S_B).

    features: (N, D). labels: (N,). Raises DataError if fewer than two classes occur.
    Source: Bao et al. 2019; shrinkage a by Ledoit and Wolf 2004, as Ibrahim et al. 2022 propose.
    """
    z, spectrum = _row_space(features)
    n, width = features.shape
    onehot = _onehot(labels)
    shrinkage = _ledoit_wolf(z, spectrum, width)
    means = (onehot.T @ z) / onehot.sum(0)[:, None]  # (C, k)
    between = (onehot.sum(0)[:, None] / n * means**2).sum(0)  # diagonal of S_B in the eigenbasis of S
    shrunk = (1 - shrinkage) * spectrum / n + shrinkage * spectrum.sum() / n / width
    return float((1 - shrinkage) * (between / shrunk).sum())


def knn_loo(features: AnyFloats, labels: Ints, neighbours: int = 5, groups: Ints | None = None) -> float:
    """Leave-one-out accuracy of a vote among the nearest rows by cosine; ties go to the more similar class.

    features: (N, D). labels: (N,). groups: (N,); rows of one group do not vote for each other.
    Raises DataError if fewer than two classes occur. Source: Wu et al. 2018 (kNN on frozen features), unweighted.
    """
    onehot = _onehot(labels)
    codes = onehot.argmax(1)
    group = np.arange(len(labels)) if groups is None else groups
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    rows = np.asarray(features / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)
    k = min(neighbours, len(rows) - 1)
    right, step = 0, max(1, KNN_CELLS // len(rows))
    for start in range(0, len(rows), step):
        similarity = rows[start : start + step] @ rows.T  # (R, N)
        similarity[group[start : start + step, None] == group[None, :]] = -np.inf
        near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]  # (R, k)
        value = np.take_along_axis(similarity, near, 1)
        vote = np.where(np.isfinite(value), 1.0 + (value + 1.0) / (4.0 * k), 0.0)  # the second term breaks ties
        tally = np.zeros((len(near), onehot.shape[1]))
        np.add.at(tally, (np.arange(len(near))[:, None], codes[near]), vote)
        right += int((tally.argmax(1) == codes[start : start + step]).sum())
    return right / len(rows)


def lda_log_loss(features: AnyFloats, labels: Ints, n_folds: int = 5, groups: Ints | None = None) -> float:
    """Minus the out-of-fold log-loss (nats) of shrunk linear discriminant analysis after one temperature.

    w_c = P m_c, b_c = ln(prior_c) - m_c' P m_c / 2 with P = D ((N-1) S + tr(S) I)^-1 and S the within-class
    covariance of the training folds. P's scale drifts with N / D; the temperature takes that out.
    features: (N, D). labels: (N,). groups: (N,); never split. Raises DataError if fewer than two classes occur.
    Source: Wang et al. 2024, "A Hard-to-Beat Baseline for Training-Free CLIP-Based Adaptation".
    """
    z, _ = _row_space(features)
    onehot = _onehot(labels)
    codes = onehot.argmax(1)
    folds = grouped_folds(codes, np.arange(len(codes)) if groups is None else groups, n_folds, seed=0)
    logits = np.empty_like(onehot)
    for fold in np.unique(folds):
        out = folds == fold
        weight, bias = _lda(z[~out], onehot[~out], features.shape[1])
        logits[out] = z[out] @ weight + bias
    return -tempered_log_loss(logits, codes)[0]


def _lda(rows: Floats, onehot: Floats, width: int) -> tuple[Floats, Floats]:
    from scipy.linalg import solve

    counts = onehot.sum(0)
    means = (onehot.T @ rows) / np.maximum(counts, 1.0)[:, None]  # (C, k); absent classes stay at the overall mean
    within = rows - means[onehot.argmax(1)]
    trace = float((within**2).sum()) / max(len(rows) - 1, 1)
    ridge = trace if trace > 0 else 1.0
    scatter = within.T @ within  # (N - 1) S
    scatter[np.diag_indices_from(scatter)] += ridge
    weight = width * solve(scatter, means.T, assume_a="pos")  # (k, C)
    prior = (counts + 0.5) / (counts + 0.5).sum()
    return weight, np.log(prior) - 0.5 * np.einsum("ck,kc->c", means, weight)


def _evidence(spectrum: Floats, x: Floats, rest: Floats, n: int, width: int) -> tuple[Floats, Floats, Floats]:
    """Largest log evidence over alpha and beta, and where it lies: (C,) each.

    spectrum: (k,) squared singular values. x: (k, C) = U'y. rest: (C,) = |y|^2 - |x|^2. n: N - 1.
    Given t = alpha / beta, the best beta is known; t comes from a grid, then from MacKay's fixed-point updates.
    """
    centre = np.log(spectrum.max())
    starts = np.linspace(centre - 18, centre + 18, 37)
    values = np.stack([_at_ratio(spectrum, x, rest, n, width, np.full(x.shape[1], np.exp(s)))[0] for s in starts])
    ratio = np.exp(starts[values.argmax(0)])  # (C,)
    best = _at_ratio(spectrum, x, rest, n, width, ratio)
    for _ in range(200):
        new = np.clip(_update(spectrum[:, None], x, rest, n, ratio), np.exp(starts[0]), np.exp(starts[-1]))
        done = np.allclose(np.log(new), np.log(ratio), rtol=0, atol=1e-7)
        ratio = new
        if done:
            break
    last = _at_ratio(spectrum, x, rest, n, width, ratio)
    better = last[0] >= best[0]  # at a limit of t the updates may lead nowhere
    evidence, alpha, beta = (np.where(better, new, old) for new, old in zip(last, best))
    return evidence, alpha, beta


def _at_ratio(
    spectrum: Floats, x: Floats, rest: Floats, n: int, width: int, ratio: Floats
) -> tuple[Floats, Floats, Floats]:
    square, residual = _moments(spectrum[:, None], x, rest, ratio)
    beta = n / np.maximum(residual + ratio * square, np.finfo(float).tiny)
    alpha = ratio * beta
    determinant = np.log(alpha + beta * spectrum[:, None]).sum(0) + (width - len(spectrum)) * np.log(alpha)
    fit = width * np.log(alpha) + n * np.log(beta) - determinant - beta * residual - alpha * square
    return 0.5 * (fit - n * np.log(2 * np.pi)), alpha, beta


def _update(sigma: Floats, x: Floats, rest: Floats, n: int, ratio: Floats) -> Floats:
    tiny = np.finfo(float).tiny
    square, residual = _moments(sigma, x, rest, ratio)
    effective = (sigma / (sigma + ratio)).sum(0)
    alpha, beta = effective / np.maximum(square, tiny), (n - effective) / np.maximum(residual, tiny)
    return np.asarray(np.maximum(alpha, tiny) / np.maximum(beta, tiny))


def _moments(sigma: Floats, x: Floats, rest: Floats, ratio: Floats) -> tuple[Floats, Floats]:
    """|m|^2 of the posterior mean and the squared residual, (C,) each."""
    square = (sigma * x**2 / (ratio + sigma) ** 2).sum(0)
    return square, (x**2 / (1 + sigma / ratio) ** 2).sum(0) + rest


def _ledoit_wolf(z: Floats, spectrum: Floats, width: int) -> float:
    """Shrinkage intensity a, from the coordinates alone: |S|^2, tr S and the rows' lengths suffice."""
    n = len(z)
    frobenius, trace = float((spectrum**2).sum()) / n**2, float(spectrum.sum()) / n
    distance = frobenius - trace**2 / width
    spread = (float(((z**2).sum(1) ** 2).sum()) / n - frobenius) / n
    return min(max(spread / distance, 0.0), 1.0) if distance > 0 else 1.0


def _row_space(features: AnyFloats) -> tuple[Floats, Floats]:
    """Coordinates Z (N, k) of the centred rows on their principal axes, and squared singular values (k,)."""
    centred = np.asarray(features, dtype=np.float64) - features.mean(0, dtype=np.float64)
    n, width = centred.shape
    gram = centred @ centred.T if n <= width else centred.T @ centred
    spectrum, vectors = np.linalg.eigh(gram)
    kept = spectrum > 1e-10 * spectrum.max() if spectrum.max() > 0 else np.zeros(len(spectrum), dtype=bool)
    if not kept.any():
        raise DataError(f"All {n} rows have the same features, so nothing can be scored. Check how they were made.")
    spectrum, vectors = spectrum[kept], vectors[:, kept]
    return (vectors * np.sqrt(spectrum) if n <= width else centred @ vectors), spectrum


def _onehot(labels: Ints) -> Floats:
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"Scoring needs two classes, received {len(classes)} in {len(labels)} rows. Add examples.")
    return np.asarray(np.eye(len(classes))[codes])
