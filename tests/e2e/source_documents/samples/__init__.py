"""The code samples of the documents in Python, to be copied beside a project's configuration."""
