"""What a site is made of: shared by the jobs that read content and those that publish it.

settings.py  where content, templates and output are, which sources there are, what they are called
load.py      the files that say so; reading.py and sources.py are its parts
kinds.py     the kinds of content
"""
