"""A realistic web server access log in the combined format, the same for the same seed."""

import datetime
import random
from collections.abc import Iterator

START = datetime.datetime(2026, 3, 2, 8, 0, tzinfo=datetime.timezone.utc)

# Weights are requests in a thousand.
PAGES = {
    "/": 120, "/products": 90, "/products/{n}": 260, "/search?q={q}&page={p}": 80,
    "/cart": 60, "/api/v1/stock/{n}": 140, "/static/app.{h}.js": 70, "/static/site.css": 60,
    "/images/products/{n}.webp": 100, "/favicon.ico": 18, "/robots.txt": 2,
}
WORDS = ("lamp", "desk", "oak+table", "rug", "blue+chair", "shelf", "sofa", "mirror")
REFERRERS = {
    "-": 350, "https://shop.example/": 300, "https://shop.example/products": 230,
    "https://www.search.example/": 90, "https://news.example/home/autumn?utm_source=feed": 30,
}
AGENTS = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/133.0.0.0 Safari/537.36": 400,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1": 330,
    "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0": 120,
    "Mozilla/5.0 (compatible; Examplebot/2.1; +https://bot.example/about)": 100,
    "curl/8.12.1": 50,
}


def access_log(count: int, seed: int = 1) -> Iterator[bytes]:
    """Yields `count` lines, each with its newline (Firehose puts nothing between records)."""
    rng = random.Random(seed)
    visitors = [visitor(rng) for _ in range(2_000)]
    pages, page_weights = list(PAGES), list(PAGES.values())
    referrers, referrer_weights = list(REFERRERS), list(REFERRERS.values())
    moment = START.timestamp()
    for _ in range(count):
        moment += rng.expovariate(40)
        address, user, agent = visitors[min(int(rng.expovariate(1 / 400)), len(visitors) - 1)]
        page = rng.choices(pages, page_weights)[0].format(
            n=rng.randint(1, 4_000), q=rng.choice(WORDS), p=rng.randint(1, 9), h="9f2c41ab"
        )
        method = "POST" if page == "/cart" and rng.random() < 0.5 else "GET"
        status, size = outcome(rng, method)
        referrer = rng.choices(referrers, referrer_weights)[0]
        when = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
        yield (
            f"{address} - {user} [{when:%d/%b/%Y:%H:%M:%S %z}] "
            f'"{method} {page} HTTP/1.1" {status} {size} "{referrer}" "{agent}"\n'
        ).encode()


def visitor(rng: random.Random) -> tuple[str, str, str]:
    """An address (of the ranges reserved for documentation), a user name and a browser."""
    if rng.random() < 0.2:
        address = f"2001:db8:{rng.randrange(1 << 16):x}::{rng.randrange(1, 1 << 16):x}"
    else:
        network = rng.choice(("192.0.2", "198.51.100", "203.0.113"))
        address = f"{network}.{rng.randint(1, 254)}"
    user = f"customer{rng.randint(1, 900)}" if rng.random() < 0.1 else "-"
    return address, user, rng.choices(list(AGENTS), list(AGENTS.values()))[0]


def outcome(rng: random.Random, method: str) -> tuple[int, int]:
    """A status and the size of the answer's body."""
    if method == "POST":
        return 303, 0
    status = rng.choices((200, 304, 404, 301, 500), (860, 90, 35, 12, 3))[0]
    if status == 304:
        return status, 0
    return status, int(rng.lognormvariate(8.5, 1.2)) if status == 200 else rng.randint(150, 600)
