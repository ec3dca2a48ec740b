"""A hospital's archive: look for scans, pull a series, give a segmentation back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_medseg.cli.answer import Answer, answering
from napari_medseg.errors import InvalidInputError, MissingFileError

if TYPE_CHECKING:
    from napari_medseg.cluster.pacs import Archive

ADDRESS = "https://HOST/dicom-web, dicom://TITLE@HOST:PORT (dicoms:// with TLS), or a name from the window's list."
SECRET = "File with the token or password; else MEDSEG_PACS_TOKEN or MEDSEG_PACS_PASSWORD."
Where = Annotated[str, typer.Argument(help=ADDRESS, show_default=False)]
Title = Annotated[str, typer.Option("--ae", help="Our own AE title; MEDSEG where none is given.", show_default=False)]
AsUser = Annotated[str, typer.Option("--user", help="For an archive with passwords; without it the secret is a token.", show_default=False)]
Secret = Annotated[Path | None, typer.Option("--secret", help=SECRET, show_default=False)]
Authority = Annotated[Path | None, typer.Option("--authority", help="PEM file of the certificate that counts.", show_default=False)]
Certificate = Annotated[Path | None, typer.Option("--certificate", help="PEM file with our own certificate and key.", show_default=False)]


@answering
def ask(
    archive: Where, ae: Title = "", user: AsUser = "", secret: Secret = None, authority: Authority = None, certificate: Certificate = None,
) -> Answer:
    """Ask an archive whether it is there and lets you in.

    Example: medseg pacs test dicom://ARCHIVE@pacs.example.org:104
    """
    told = _opened(archive, ae, user, secret, authority, certificate).test()
    return Answer({"ok": True, "told": told}, told)


@answering
def find(
    archive: Where,
    study: Annotated[str, typer.Option(help="List the series of this study, by its UID.", show_default=False)] = "",
    patient: Annotated[str, typer.Option(help="Patient number; * stands for any letters.", show_default=False)] = "",
    name: Annotated[str, typer.Option(help="Patient name, Family^Given; * stands for any letters.", show_default=False)] = "",
    accession: Annotated[str, typer.Option(help="Accession number.", show_default=False)] = "",
    date: Annotated[str, typer.Option(help="20260131, or 20260101-20260131.", show_default=False)] = "",
    modality: Annotated[str, typer.Option(help="CT, MR, ...", show_default=False)] = "",
    ae: Title = "", user: AsUser = "", secret: Secret = None, authority: Authority = None, certificate: Certificate = None,
) -> Answer:
    """List studies of an archive, or the series of one. What is printed names patients; nothing is kept.

    Example: medseg pacs find https://pacs.example.org/dicom-web --date 20260101-20260131 --modality CT
    """
    from napari_medseg.cluster.pacs import Query

    query = Query(patient, name, accession, date, modality)
    asked = _opened(archive, ae, user, secret, authority, certificate)
    if study:
        series = asked.series(study)
        facts = [{"series": one.uid, "modality": one.modality, "description": one.description, "number": one.number, "images": one.images} for one in series]
        lines = [f"{one.uid}  {one.modality:<4}  {one.images or '?':>5}  {one.description}" for one in series]
        return Answer({"study": study, "series": facts}, "\n".join(lines) or "no series")
    found = asked.studies(query)
    told = [
        {"study": one.uid, "patient_id": one.patient_id, "patient_name": one.patient_name, "date": one.date, "description": one.description,
         "modalities": one.modalities} for one in found
    ]
    lines = [f"{one.uid}  {one.date}  {','.join(one.modalities):<8}  {one.patient_id}  {one.patient_name}  {one.description}" for one in found]
    return Answer({"studies": told}, "\n".join(lines) or "no study")


@answering
def pull(
    archive: Where,
    study: Annotated[str, typer.Argument(help="The study's UID.", show_default=False)],
    series: Annotated[str, typer.Argument(help="The series' UID.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the images; must be empty or new.", show_default=False)],
    ae: Title = "", user: AsUser = "", secret: Secret = None, authority: Authority = None, certificate: Certificate = None,
) -> Answer:
    """Fetch a series to a folder that can be opened like any other.

    Example: medseg pacs pull https://pacs.example.org/dicom-web 1.2.3 1.2.3.4 -o scan
    """
    from napari_medseg.cluster.pacs import pull as pulling

    count = 0
    for count in pulling(_opened(archive, ae, user, secret, authority, certificate), study, series, out):
        if count % 100 == 0:
            typer.echo(f"{count} images", err=True)
    return Answer({"folder": out, "images": count}, f"{count} images in {out}")


@answering
def push(
    archive: Where,
    files: Annotated[list[Path], typer.Argument(help="DICOM files, such as labels saved as .seg.dcm.", show_default=False)],
    ae: Title = "", user: AsUser = "", secret: Secret = None, authority: Authority = None, certificate: Certificate = None,
) -> Answer:
    """Give DICOM files to an archive.

    Example: medseg pacs push https://pacs.example.org/dicom-web tumour.seg.dcm
    """
    from napari_medseg.cluster.pacs import push as pushing

    for path in files:
        if not path.is_file():
            raise MissingFileError("there is no such file", where=path, todo="Check the path")
    count = max(pushing(_opened(archive, ae, user, secret, authority, certificate), files), default=0)
    return Answer({"stored": count}, f"{count} file{'s' if count != 1 else ''} stored")


def _opened(archive: str, ae: str, user: str, *files: Path | None) -> Archive:
    from napari_medseg.cluster.pacs import open_archive, parse

    if user and archive.startswith("dicom"):
        raise InvalidInputError("is for DICOMweb; DICOM's own protocol knows AE titles and certificates only", where="--user", todo="Leave it out")
    secret, authority, certificate = ("" if path is None else str(path) for path in files)
    given: dict[str, Any] = {"title": ae, "user": user, "secret": secret, "authority": authority, "certificate": certificate}
    return open_archive(parse(archive, **given))
