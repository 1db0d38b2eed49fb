"""Catalogues behind a STAC API, asked through pystac-client with bounded retries."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cropcube.catalog.fetching import ATTEMPTS, RETRIED, TIMEOUT_S, retry_policy
from cropcube.catalog.hrefs import redact
from cropcube.catalog.known import known_catalog
from cropcube.catalog.queries import Query
from cropcube.catalog.rules import SENTINEL2_RULES, ItemRules
from cropcube.errors import CatalogError, CropcubeError, MissingError

if TYPE_CHECKING:
    from pystac_client import Client

PAGE_ITEMS = 200
"""Items asked for per page."""


@dataclass(frozen=True)
class Page:
    """A piece of an answer."""

    items: list[Mapping[str, Any]]
    "As parsed JSON."
    matched: int | None
    "Items that the whole answer has, as the server counts or estimates; None if it does not say."


@dataclass(frozen=True)
class StacApi:
    """One collection of one API, connected."""

    url: str
    "Landing page, as the user gave it."
    collection: str
    "What is asked."
    client: Client

    @classmethod
    def connect(cls, url: str, collection: str | None, rules: ItemRules = SENTINEL2_RULES) -> StacApi:
        """Open an API and make sure that it has the collection.

        Parameters
        ----------
        url
            Landing page.
        collection
            None: the known catalogue's own, or in another one the first that the rules prefer.
        rules
            Of the sensor whose scenes are wanted.

        Raises
        ------
        CatalogError
            If it cannot be reached or answers nonsense.
        MissingError
            If it has no such collection.
        """
        from pystac_client import Client
        from pystac_client.stac_api_io import StacApiIO

        with _translated(url, "the landing page"):
            client = Client.open(
                url, stac_io=StacApiIO(max_retries=retry_policy(), timeout=TIMEOUT_S), timeout=TIMEOUT_S
            )
            if client.get_search_link() is None:
                raise CatalogError(
                    f"catalogue {redact(url)} is no searchable STAC API (its landing page has no search link)",
                    "A static catalogue is given by the path or URL of its catalog.json.",
                )
            return cls(url, _chosen(url, collection, client, rules), client)

    def pages(self, query: Query) -> Iterator[Page]:
        """Yield an answer page by page.

        Raises
        ------
        CatalogError
            If the API fails, answers nonsense, or hands out the same page for ever.
        """
        asked = f"{self.collection}, {query.month}, {query.zone}"
        with _translated(self.url, asked):
            pages = self.client.search(
                collections=[self.collection], bbox=query.box, datetime=query.interval, limit=PAGE_ITEMS
            ).pages_as_dicts()
        before: set[str] = set()
        while True:
            with _translated(self.url, asked):
                page = _page(next(pages, {"features": []}))
                now = {str(item["id"]) for item in page.items}
            if not page.items:
                return
            if now <= before:
                raise CatalogError(
                    f"catalogue {redact(self.url)} hands out the same page again ({len(before)} items so far)",
                    "Its paging is broken; try again later or give another --catalog.",
                )
            before |= now
            yield page


def _page(answer: Mapping[str, Any]) -> Page:
    matched = answer.get("numberMatched") or (answer.get("context") or {}).get("matched")
    return Page(answer["features"], matched if isinstance(matched, int) else None)


def _chosen(url: str, collection: str | None, client: Client, rules: ItemRules) -> str:
    known = known_catalog(url)
    wanted = collection or (known.collection if known else None)
    if wanted is not None and _has(client, wanted):
        return wanted
    offered = sorted(str(found.id) for found in client.get_collections())
    if wanted is None:
        preferred = [name for name in rules.collections if name in offered] or offered
        if preferred and (len(offered) == 1 or preferred[0] in rules.collections):
            return preferred[0]
    what = f"no collection {wanted}" if wanted else f"no collection that is known to be {rules.title}"
    raise MissingError(
        f"catalogue {redact(url)} has {what}",
        f"Give one of its collections with --collection: {' '.join(offered[:20]) or 'it lists none'}",
    )


def _has(client: Client, collection: str) -> bool:
    from pystac_client.exceptions import APIError

    try:
        return client.get_collection(collection) is not None
    except APIError as error:
        if getattr(error, "status_code", None) == 404:
            return False
        raise


class _translated:
    """Turns what pystac-client and its parts raise into a CatalogError; its notes on conformance are not the user's."""

    def __init__(self, url: str, asked: str) -> None:
        self._url, self._asked = url, asked
        self._quiet = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._quiet.__enter__()
        from pystac_client.warnings import PystacClientWarning

        warnings.simplefilter("ignore", PystacClientWarning)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._quiet.__exit__(kind, error, trace)
        from pystac import STACError
        from pystac_client.exceptions import APIError

        nonsense = (STACError, NotImplementedError, ValueError, KeyError, TypeError, AttributeError)
        if isinstance(error, CropcubeError):
            return
        if isinstance(error, APIError):
            raise CatalogError(
                f"catalogue {redact(self._url)} failed on {self._asked}: {_reason(error)}",
                "Run the same command again later, whole answers are kept; `cropcube catalogs` lists other catalogues.",
            ) from None
        if isinstance(error, nonsense):
            raise CatalogError(
                f"catalogue {redact(self._url)} does not answer as a STAC API does on {self._asked}"
                f" ({type(error).__name__})",
                "Give the address of the API's landing page; `cropcube catalogs` lists known ones.",
            ) from None


def _reason(error: Exception) -> str:
    """Say in a few words why a request failed, without the query that it carried."""
    status = getattr(error, "status_code", None)
    if status is not None:
        return f"HTTP {status} after {ATTEMPTS} tries" if status in RETRIED else f"HTTP {status}"
    text = str(error)
    for sign, words in (
        ("timed out", f"no answer within {TIMEOUT_S:.0f} s"),
        ("NameResolution", "the host's name is unknown, or there is no network"),
        ("Name or service", "the host's name is unknown, or there is no network"),
        ("refused", "the connection was refused"),
        ("too many", f"it kept failing in {ATTEMPTS} tries"),
        ("SSL", "the secure connection could not be made"),
    ):
        if sign in text:
            return words
    return "the connection failed"
