"""Which images are matched with which: neighbours in time, and images that look alike, found without a vocabulary."""

from collections.abc import Sequence

import numpy as np

_NUM_WORDS, _SAMPLE_SIZE, _ITERATIONS = 64, 20_000, 12  # visual words; descriptors for k-means, and its iterations
_NEIGHBOURS, _SIMILAR = 6, 6  # of a frame of a video
_MAX_EXHAUSTIVE = 80  # photos up to which all pairs are matched
_PHOTO_NEIGHBOURS, _PHOTO_SIMILAR = 4, 30  # of a photo, where there are more
_RING_NEIGHBOURS, _RING_SIMILAR = 4, 20  # of a photo of a turntable: in its turn, and in turns of other steps

Pair = tuple[int, int]


def choose_pairs(descriptors: Sequence[np.ndarray], is_video: bool) -> list[Pair]:
    """Pairs (i, j), i < j, of images in their order, from the SIFT descriptors (K, 128) uint8 of each.

    Pairs each frame of a video with those just before and after it and with the most similar frames from elsewhere,
    which closes loops. Pairs all photos with each other, or many photos as frames of a video, but with more of them."""
    num = len(descriptors)
    if not is_video and num <= _MAX_EXHAUSTIVE:
        return [(i, j) for i in range(num) for j in range(i + 1, num)]
    reach, num_similar = (_NEIGHBOURS, _SIMILAR) if is_video else (_PHOTO_NEIGHBOURS, _PHOTO_SIMILAR)
    pairs = {(i, j) for i in range(num) for j in range(i + 1, min(i + reach + 1, num))}
    signatures = vlad(descriptors)
    for i in range(num):
        similarity = signatures @ signatures[i]
        similarity[max(i - reach, 0) : i + reach + 1] = -np.inf
        most_similar = np.argsort(-similarity)[:num_similar]
        pairs |= {(min(i, int(j)), max(i, int(j))) for j in most_similar if similarity[j] > -np.inf}
    return sorted(pairs)


def choose_ring_pairs(descriptors: Sequence[np.ndarray], positions: Sequence[Sequence[int]]) -> list[Pair]:
    """Pairs (i, j), i < j, of images of a turntable; positions: the images of each position of the camera, in order.

    Pairs each image with its neighbours, the last ones of a turn with the first, and with those of other positions at
    the same angle, if these have as many images: they turned in the same steps. Else with those most similar. Front and
    back of things look alike: images far apart in a turn are not paired."""
    pairs: set[Pair] = set()
    signatures = vlad(descriptors)
    for ring in positions:
        for place, i in enumerate(ring):
            pairs |= {(i, ring[(place + step) % len(ring)]) for step in range(1, _RING_NEIGHBOURS + 1)}
            others = [other for other in positions if other is not ring]
            for other in (other for other in others if len(other) == len(ring)):
                pairs |= {(i, other[(place + step) % len(other)]) for step in (-1, 0, 1)}
            elsewhere = [j for other in others if len(other) != len(ring) for j in other]
            nearest = np.argsort(-(signatures[elsewhere] @ signatures[i]))[:_RING_SIMILAR]
            pairs |= {(i, elsewhere[j]) for j in nearest.tolist()}
    return sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})


def vlad(descriptors: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 64 * 128) float32 unit vectors whose products measure the similarity of images, from SIFT descriptors
    (K, 128).

    Residuals to the nearest of 64 visual words, summed for each word and normalised (VLAD, Jégou et al. 2010, with the
    normalisation of Arandjelović and Zisserman 2013). The words are computed from these very images."""
    words = _visual_words(descriptors)
    signatures = np.zeros((len(descriptors), words.size), np.float32)
    for signature, features in zip(signatures, descriptors, strict=True):
        if len(features):
            features = features.astype(np.float32)
            nearest = _nearest(features, words)
            sums = np.zeros_like(words)
            np.add.at(sums, nearest, features - words[nearest])
            sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
            signature[:] = sums.ravel() / max(np.linalg.norm(sums), 1e-9)
    return signatures


def connected_components(pairs: Sequence[Pair], num: int) -> list[list[int]]:
    """The groups of images 0 .. num-1 that pairs connect, the largest first."""
    parent = list(range(num))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs:
        parent[root(i)] = root(j)
    components: dict[int, list[int]] = {}
    for i in range(num):
        components.setdefault(root(i), []).append(i)
    return sorted(components.values(), key=len, reverse=True)


def _visual_words(descriptors: Sequence[np.ndarray]) -> np.ndarray:
    """(W, 128) float32 centres of k-means with a fixed random seed."""
    random = np.random.default_rng(0)
    per_image = max(_SAMPLE_SIZE // max(len(descriptors), 1), 1)
    drawn = [features[random.permutation(len(features))[:per_image]] for features in descriptors]
    sample = np.concatenate(drawn).astype(np.float32)
    words = sample[random.permutation(len(sample))[:_NUM_WORDS]].copy()
    for _ in range(_ITERATIONS if len(sample) else 0):
        nearest = _nearest(sample, words)
        counts = np.bincount(nearest, minlength=len(words))
        sums = np.zeros_like(words)
        np.add.at(sums, nearest, sample)
        words[counts > 0] = sums[counts > 0] / counts[counts > 0, None]
    return words


def _nearest(features: np.ndarray, words: np.ndarray) -> np.ndarray:
    return (features @ words.T - 0.5 * np.square(words).sum(axis=1)).argmax(axis=1)
