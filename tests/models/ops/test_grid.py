"""The layout of a hash grid is that of tiny-cuda-nn."""

from models.ops import GridSpec


def test_the_usual_grid_has_the_sizes_of_tiny_cuda_nn():
    spec = GridSpec(16, 2, 19, 16, 1.447269237440378)
    assert spec.output_dim == 32
    assert [level.resolution for level in spec.levels[:5]] == [16, 24, 34, 49, 71]
    assert spec.levels[-1].resolution == 4096
    assert [level.dense for level in spec.levels[:6]] == [True] * 5 + [False]
    assert spec.levels[1].size == 24**3
    assert spec.levels[3].size == 117656  # 49^3 = 117649, rounded up to eight entries
    assert spec.levels[5].size == 2**19
    assert spec.num_entries == sum(level.size for level in spec.levels)


def test_levels_lie_one_after_the_other():
    levels = GridSpec(8, 2, 12, 4, 1.5).levels
    assert [level.offset for level in levels[1:]] == [level.offset + level.size for level in levels[:-1]]


def test_integer_growth_gives_integer_resolutions():
    levels = GridSpec(8, 2, 19, 16, 2.0).levels
    assert [level.resolution for level in levels] == [16 * 2**index for index in range(8)]
