"""EFFECT. The only room that talks to libvirt: guests, links, pairs."""
