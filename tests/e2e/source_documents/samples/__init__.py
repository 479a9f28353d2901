"""The code samples of the documents in Python: copied beside a project's configuration, then imported there."""
