from __future__ import annotations

from importlib.util import find_spec

import pytest

from foleykit.retrieval import Backend

needs_lancedb = pytest.mark.skipif(
    find_spec("lancedb") is None, reason="LanceDB is not installed: pip install 'foleykit[index]'"
)


@pytest.fixture(params=["sqlite", pytest.param("lancedb", marks=needs_lancedb)])
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param
