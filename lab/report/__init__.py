"""PURE. Verdicts in, text, HTML, JUnit XML, KTAP and pictures out; the caller writes."""
