"""Which images are matched: all of few photos, neighbours and look-alikes of many or of a is_video."""

import numpy as np

from datasets.capture.poses.pairs import choose_pairs, choose_ring_pairs, connected_components, vlad


def loop_of_descriptors(num: int, turns: int = 1) -> list[np.ndarray]:
    """SIFT-like descriptors of views on a circle: each sees the features of a sector, one turn looks like the next."""
    random = np.random.default_rng(0)
    features = random.integers(0, 256, (400, 128))
    found = []
    for i in range(num):
        start = int(400 * (i * turns / num % 1.0))
        seen = features[(start + np.arange(100)) % 400]
        found.append(np.clip(seen + random.normal(0.0, 5.0, seen.shape), 0, 255).astype(np.uint8))
    return found


def test_all_pairs_of_few_photos():
    assert choose_pairs(loop_of_descriptors(7), is_video=False) == [(i, j) for i in range(7) for j in range(i + 1, 7)]


def test_a_video_closes_its_loop_and_finds_its_second_turn():
    pairs = set(choose_pairs(loop_of_descriptors(80, turns=2), is_video=True))
    assert {(i, i + 1) for i in range(79)} <= pairs
    assert len({(i, i + 40) for i in range(40)} & pairs) > 35
    assert len(pairs) < 80 * 13


def test_many_photos_are_not_matched_with_all():
    pairs = choose_pairs(loop_of_descriptors(100), is_video=False)
    assert len(pairs) < 100 * 35
    assert len(connected_components(pairs, 100)) == 1


def test_images_without_features_are_borne():
    descriptors = [*loop_of_descriptors(10), np.zeros((0, 128), np.uint8)]
    signatures = vlad(descriptors)
    assert np.isfinite(signatures).all()
    np.testing.assert_allclose(np.linalg.norm(signatures[:10], axis=1), 1.0, rtol=1e-5)
    assert choose_pairs(descriptors, is_video=True)
    assert choose_pairs([np.zeros((0, 128), np.uint8)] * 10, is_video=True)


def test_parts_are_what_pairs_connect():
    assert connected_components([(0, 1), (3, 4), (1, 5)], 6) == [[0, 1, 5], [3, 4], [2]]


def test_photos_of_a_turntable_are_paired_with_those_at_near_angles():
    random = np.random.default_rng(3)
    descriptors = [random.integers(0, 256, (50, 128), dtype=np.uint8) for _ in range(29)]
    rings = [range(12), range(12, 24), range(24, 29)]
    pairs = set(choose_ring_pairs(descriptors, rings))
    assert {(0, 1), (0, 4), (0, 11), (3, 15), (3, 16), (0, 23)} <= pairs  # the turn closes
    assert not {(0, 6), (3, 18)} & pairs  # its other side
    assert all(any((i, j) in pairs for i in range(24)) for j in range(24, 29))
    assert all(i < j for i, j in pairs)
