import numpy as np
import pytest

from keras_transformer.illustrate.heat_maps import HeatMap, heat_maps

MAP = HeatMap("Title", np.array([[0.5, -0.25], [0.0, 0.125]]), "row", "column", first_row=-1)


@pytest.mark.parametrize(("count", "across"), [(1, 1), (2, 1), (2, 2), (4, 2)])
def test_all_maps_share_one_scale(count, across):
    picture = heat_maps([MAP] * count, limit=0.5, across=across)
    assert picture.count("<image") == count + 1
    assert picture.count(">Title<") == count
    assert picture.count(">row<") == count // across  # not between two of them
    assert [picture.count(f">{tick}<") for tick in ("0.5", "−0.5")] == [1, 1]


def test_the_same_maps_make_the_same_picture():
    assert heat_maps([MAP], 0.5) == heat_maps([MAP], 0.5)


def test_zeros_have_a_scale_too():
    zeros = MAP._replace(numbers=np.zeros((2, 2)))
    assert ">1<" in heat_maps([zeros], limit=0)
