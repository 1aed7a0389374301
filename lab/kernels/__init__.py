"""EFFECT. The catalogue of kernels, fetched, unpacked and made bootable."""

from lab.kernels.bootable import make_bootable
from lab.kernels.catalogue import CatalogueKernel, Kernel, LocalKernel, catalogue, resolve

__all__ = ["CatalogueKernel", "Kernel", "LocalKernel", "catalogue", "make_bootable", "resolve"]
