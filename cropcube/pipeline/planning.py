"""What a dry run of `features` or `predict` is told beside the verb's own options: of what, and at which rates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cropcube.config import Project
from cropcube.errors import ConflictError, UsageError
from cropcube.pipeline.build_options import BuildOptions, standing_project, wanted_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from cropcube.location import Location


@dataclass(frozen=True)
class Planning:
    """Of what a dry run is; without a region, of the project that stands."""

    region: str | None = None
    "Name, vector file, or west,south,east,north."
    season: str | None = None
    "START/STOP (half-open) or YEAR; the default is the project's, or the last complete calendar year."
    rates: Path | None = None
    "File of prices and speeds; see `pipeline.rates`."

    @classmethod
    def of_words(
        cls, dry_run: bool, region: str | None, season: str | None, rates: str | Path | None
    ) -> Planning | None:
        """Return what is asked for in the words of the command line; None where no dry run is.

        Raises
        ------
        UsageError
            If an option is given that only a dry run has.
        """
        said = {"--region": region, "--season": season, "--rates": rates}
        given = [option for option, value in said.items() if value is not None]
        if given and not dry_run:
            raise UsageError(
                f"{given[0]} goes with --dry-run; a run is of the project that stands",
                f"Add --dry-run, or leave {given[0]} out.",
            )
        return cls(region, season, None if rates is None else Path(rates)) if dry_run else None

    def project(self, root: Location, say: Callable[[str], None]) -> Project:
        """Return the project that stands, or the one that would be made of the region; nothing is written.

        Raises
        ------
        MissingError
            If there is none and no region is given either.
        ConflictError
            If another one stands.
        """
        asked = BuildOptions(region=self.region, season=self.season, dry_run=True)
        standing = standing_project(root, asked)
        spec = wanted_spec(asked, standing.spec if standing else None, say)
        if standing is None:
            return Project(root.resolve(), spec)
        if spec.digest != standing.spec.digest:
            raise ConflictError(
                f"{standing.root} holds another project ({'; '.join(standing.spec.differences(spec))})",
                "Use another --project folder, or leave the option out to plan this one.",
            )
        return standing
