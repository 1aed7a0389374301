"""The life of one attempt: the steps that a script may take, and the record it leaves."""
