import importlib

import pytest

point = importlib.import_module("models.predictive.point")
parts = importlib.import_module("models.predictive.parts")
joint = importlib.import_module("models.predictive.joint")


@pytest.fixture
def small_chunks(monkeypatch):
    """Several chunks, and a last one that is shorter."""
    monkeypatch.setattr(point, "DENSE_CELLS", 16)
    monkeypatch.setattr(parts, "LARGEST_CHUNK", 7)
    monkeypatch.setattr(parts, "OVERHEAD", 20)
    monkeypatch.setattr(joint, "SURVEYED_CHUNK", 9)
