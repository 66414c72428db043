"""Every link of a built site leads somewhere, and no page takes anything from the network."""

from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself; a link (<a href>) may lead out of the site.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """The ids of a page, what it links to, and what it fetches."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.fetched = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if attributes.get(FETCHED.get(tag)):
            self.fetched.append(attributes[FETCHED[tag]])


def problems(site):
    """One line for each broken link, missing anchor and address of the network in a built site.

    Args:
        site: the folder, a `pathlib.Path`. Its 404 page is left out: its links are absolute.
    """
    paths = [path for path in sorted(site.rglob("*.html")) if path.name != "404.html"]
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in paths}
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        for address in page.fetched:
            if urlsplit(address).scheme not in ("", "data") or urlsplit(address).netloc:
                yield f"{name} takes {address} from the network"
        for address in [*page.links, *page.fetched]:
            if reason := _broken(address, path, pages):
                yield f"{name} links to {address}: {reason}"


def _broken(address, path, pages):
    """What is wrong with an address in the page at `path`; None if it leads somewhere."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "no such file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
        return "no such anchor"
    return None
