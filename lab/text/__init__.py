"""Text that is shown: made fit for a terminal, a page and a file."""
