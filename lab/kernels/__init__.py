"""EFFECT. The catalogue of kernels, fetched, unpacked and made bootable."""
