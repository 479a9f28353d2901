"""The steps of the publish pipeline, in their order.

content_ingestion.py   Markdown files to rows
asset_copy.py          the site's assets to the output
content_prerender.py   rows to fragments of HTML, kept in the database
page_prerender.py      fragments and templates to pages
sitemap.py             sitemap.xml
llms_txt.py            llms.txt
robots_txt.py          robots.txt
rss_feed.py            feed.xml, atom.xml, and a feed for each source
asset_organization.py  style sheets and scripts to `css/` and `js/`
"""
