"""The five source documents, executed: each code sample, configuration and command line, and what it says."""
