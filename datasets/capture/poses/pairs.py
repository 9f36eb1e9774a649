"""Which images are matched with which: neighbours in time, and those that look alike, found without a vocabulary."""

from collections.abc import Sequence

import numpy as np

_WORDS, _SAMPLE, _ROUNDS = 64, 20_000, 12  # words of the vocabulary, descriptors that it is made of, steps to make it
_NEIGHBOURS, _ALIKE = 6, 6  # of a frame of a video
_EXHAUSTIVE, _PHOTO_NEIGHBOURS, _PHOTO_ALIKE = 80, 4, 30  # photos up to which all pairs are tried; beyond, of each

Pair = tuple[int, int]


def choose_pairs(descriptors: Sequence[np.ndarray], video: bool) -> list[Pair]:
    """Pairs (i, j), i < j, of images in their order, from the SIFT descriptors (K, 128) uint8 of each.

    Of a video each frame goes with those just before and after it and with the frames from elsewhere that look most
    like it, which closes loops. Of photos all pairs are tried, or, of many, as with videos but more."""
    num = len(descriptors)
    if not video and num <= _EXHAUSTIVE:
        return [(i, j) for i in range(num) for j in range(i + 1, num)]
    reach, alike = (_NEIGHBOURS, _ALIKE) if video else (_PHOTO_NEIGHBOURS, _PHOTO_ALIKE)
    pairs = {(i, j) for i in range(num) for j in range(i + 1, min(i + reach + 1, num))}
    signatures = describe(descriptors)
    for i in range(num):
        likeness = signatures @ signatures[i]
        likeness[max(i - reach, 0) : i + reach + 1] = -np.inf
        most = np.argsort(-likeness)[:alike]
        pairs |= {(min(i, int(j)), max(i, int(j))) for j in most if likeness[j] > -np.inf}
    return sorted(pairs)


def describe(descriptors: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 64 * 128) float32 unit vectors whose products tell how alike images are, from SIFT descriptors (K, 128).

    Residuals to the nearest of 64 words, summed for each word and normalised (VLAD, Jégou et al. 2010, with the
    normalisation of Arandjelović and Zisserman 2013). The words are of these very images."""
    words = _vocabulary(descriptors)
    found = np.zeros((len(descriptors), words.size), np.float32)
    for row, features in zip(found, descriptors, strict=True):
        if len(features):
            features = features.astype(np.float32)
            nearest = _nearest(features, words)
            sums = np.zeros_like(words)
            np.add.at(sums, nearest, features - words[nearest])
            sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
            row[:] = sums.ravel() / max(np.linalg.norm(sums), 1e-9)
    return found


def connected_parts(pairs: Sequence[Pair], num: int) -> list[list[int]]:
    """The groups of images 0 .. num-1 that pairs connect, the largest first."""
    group = list(range(num))

    def top(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    for i, j in pairs:
        group[top(i)] = top(j)
    parts: dict[int, list[int]] = {}
    for i in range(num):
        parts.setdefault(top(i), []).append(i)
    return sorted(parts.values(), key=len, reverse=True)


def _vocabulary(descriptors: Sequence[np.ndarray]) -> np.ndarray:
    """(W, 128) float32 centres of k-means with fixed random numbers."""
    random = np.random.default_rng(0)
    each = max(_SAMPLE // max(len(descriptors), 1), 1)
    drawn = [features[random.permutation(len(features))[:each]] for features in descriptors]
    sample = np.concatenate(drawn).astype(np.float32)
    words = sample[random.permutation(len(sample))[:_WORDS]].copy()
    for _ in range(_ROUNDS if len(sample) else 0):
        nearest = _nearest(sample, words)
        counts = np.bincount(nearest, minlength=len(words))
        sums = np.zeros_like(words)
        np.add.at(sums, nearest, sample)
        words[counts > 0] = sums[counts > 0] / counts[counts > 0, None]
    return words


def _nearest(features: np.ndarray, words: np.ndarray) -> np.ndarray:
    return (features @ words.T - 0.5 * np.square(words).sum(axis=1)).argmax(axis=1)
