"""PURE. Tables of cases, NIC profiles and designs; names, sizes, domain XML and command lines from run ids."""
