import importlib

import pytest

from models import predictive

point = importlib.import_module("models.predictive.point")
joint = importlib.import_module("models.predictive.joint")


@pytest.fixture
def nothing_held(monkeypatch):
    """Every class of every voxel is sampled."""
    monkeypatch.setattr(predictive, "HELD", 0.0)


@pytest.fixture
def small_chunks(monkeypatch):
    """Several chunks, and a last one that is shorter."""
    monkeypatch.setattr(point, "DENSE_CELLS", 16)
    monkeypatch.setattr(point, "SMALLEST_CHUNK", 3)
    monkeypatch.setattr(point, "LARGEST_CHUNK", 7)
    monkeypatch.setattr(joint, "SURVEYED_CHUNK", 9)
