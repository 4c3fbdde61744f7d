"""End to end: the whole product as a user starts it, a real Home Assistant, and nothing in between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.product import Product


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Start a product that plays the demo home, shared by the tests that only look."""
    product = Product(tmp_path_factory.mktemp("demo"), environment={"HA_INGESTOR_DEMO__PAST_H": "12"})
    product.start()
    yield product
    product.close()
