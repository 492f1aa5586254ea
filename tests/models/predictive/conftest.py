import importlib

import pytest

point = importlib.import_module("models.predictive.point")
joint = importlib.import_module("models.predictive.joint")


@pytest.fixture
def small_chunks(monkeypatch):
    """Several chunks, and a last one that is shorter."""
    monkeypatch.setattr(point, "DENSE_CELLS", 16)
    monkeypatch.setattr(point, "SMALLEST_CHUNK", 3)
    monkeypatch.setattr(point, "LARGEST_CHUNK", 7)
    monkeypatch.setattr(joint, "SURVEYED_CHUNK", 9)
