"""Strict YAML: values that know where they stand, checks of them, and problems that say so.

The configuration is read with it, and so is whatever an extension reads in YAML.

text.py     text to values
check.py    what a value may be, and which keys a mapping may have
problem.py  what is wrong, and where
writing.py  values to text
"""
