"""Strict YAML: values that know where they stand, and problems that say so.

The configuration is read with it, and so is whatever an extension reads in YAML.
"""
