"""Which database a study has: the file in its folder, or the server that its folder names."""

from __future__ import annotations

from napari_medseg.project.address import Address, read_address
from napari_medseg.project.database import Database
from napari_medseg.project.layout import Layout


def database_of(layout: Layout, address: Address | None = None, *, readonly: bool = False, network: bool | None = None) -> Database:
    """The database of a study's folder, not yet opened.

    Parameters
    ----------
    layout : Layout
    address : Address, optional
        For a study that is being made; what its folder says when not given.
    readonly : bool
    network : bool, optional
        See `Database`.

    Raises
    ------
    ProjectError, UnavailableError
        When the folder's store.json is damaged; when psycopg is missing.
    """
    address = read_address(layout.store) if address is None else address
    if address is None:
        return Database(layout, readonly=readonly, network=network)
    from napari_medseg.project.server import ServerDatabase

    return ServerDatabase(layout, address, readonly=readonly)
