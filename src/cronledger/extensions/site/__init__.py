"""What a site is made of: shared by the jobs that read content and those that publish it.

settings.py  where content, templates and output are, which sources there are, what they are called
load.py      the files that say so; reading.py and sources.py are its parts
kinds.py     the kinds of content

published.py what of the content is public, and the addresses of its pages: asked by all that publish
markdown.py  a text to a fragment of HTML
templates.py Jinja2 templates: sandboxed, strict, from two folders
urls.py      which addresses may stand in a page
output.py    the only writer of the output; manifest.py knows what it has written, folder.py follows no link
tally.py     what a step could do and what not; extras.py says what to install
"""
