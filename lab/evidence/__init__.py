"""PURE. Bytes of a bundle in, frozen records out."""
