"""Tensors only: the network, its posterior, the anatomical prior and the predictive. Knows no DICOM and no tracking."""
