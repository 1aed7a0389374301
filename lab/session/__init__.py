"""A session: prepared, conducted, run by an engine, drawn; and what it taught of this host."""
