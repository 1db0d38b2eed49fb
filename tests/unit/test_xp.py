import array_api_strict as strict
import numpy as np
import pytest

from cropcube import xp
from cropcube.errors import InvalidInputError


def test_the_array_brings_its_namespace():
    assert xp.namespace(np.ones(2), np.zeros(3, bool)) is np
    assert xp.namespace(strict.ones(2)) is strict
    assert xp.is_numpy(np.ones(2))
    assert not xp.is_numpy(np.ones(2), strict.ones(2))


def test_arrays_of_two_libraries_and_lists_are_refused():
    with pytest.raises(InvalidInputError, match="array_api_strict, numpy"):
        xp.namespace(np.ones(2), strict.ones(2))
    with pytest.raises(InvalidInputError, match="list"):
        xp.namespace([1, 2])
