"""A cohort over a Dask scheduler that others started: encrypted, only for whom it knows, only on workers with a graphics card when these are asked for."""

import datetime
import ipaddress
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from napari_medseg.cluster.cohort.engines import segment_cohort
from napari_medseg.cluster.cohort.jobs import SegmentJob
from napari_medseg.cluster.cohort.places import Place
from napari_medseg.cluster.cohort.workers import Workers
from napari_medseg.errors import UnavailableError
from napari_medseg.io import read_labels, write
from napari_medseg.segmenters.named import Named
from napari_medseg.testing.segmenter_conformance import blob

WORKER = "from distributed.cli.dask_worker import main; main()"
SCHEDULER = "from distributed.cli.dask_scheduler import main; main()"


def certificate(folder, name):
    """A certificate that signs itself and its key, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    named, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(named).issuer_name(named).public_key(key.public_key()).serial_number(x509.random_serial_number())
    day = datetime.timedelta(days=1)
    signed = made.not_valid_before(now - day).not_valid_after(now + day).add_extension(here, critical=False).sign(key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return folder / f"{name}.pem", folder / f"{name}.key"


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    """A scheduler and two workers, one of which says that it has a graphics card, as `dask scheduler` and `dask worker` start them."""
    folder = tmp_path_factory.mktemp("farm")
    cert, key = certificate(folder, "farm")
    secure = ["--tls-ca-file", str(cert), "--tls-cert", str(cert), "--tls-key", str(key)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DASK_LOGGING__DISTRIBUTED": "error"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "env": environment}
    started = []

    def start(code, *words):
        started.append(subprocess.Popen([sys.executable, "-c", code, *words], **quiet))

    try:
        told = folder / "scheduler.json"
        start(SCHEDULER, "--host", "tls://127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(told), *secure)
        until = time.monotonic() + 120
        while not told.exists() or not told.read_text(encoding="utf-8").strip():
            assert started[0].poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        address = json.loads(told.read_text(encoding="utf-8"))["address"]
        for name, more in (("plain", []), ("card", ["--resources", "GPU=1"])):
            alone = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name, "--local-directory", str(folder / name)]
            start(WORKER, address, "--host", "127.0.0.1", *alone, *more, *secure)
        yield address, cert, key
    finally:
        for each in reversed(started):
            each.kill()
            each.wait()


@pytest.mark.slow  # three processes of Dask's own start, one of them loads torch
def test_a_cohort_runs_there_encrypted_and_on_the_worker_with_the_card(farm, tmp_path):
    address, cert, key = farm
    (tmp_path / "scans").mkdir()
    for number in range(2):
        write(blob("thick slices"), tmp_path / "scans" / f"case{number}.nii.gz")
    asked = Workers(address, gpu=True, ca=cert, cert=cert, key=key)
    ticks = list(segment_cohort(Place.of(tmp_path / "scans"), SegmentJob(Named("unet"), Place.of(tmp_path / "masks"), device="cpu"), asked))
    outcomes = [tick.outcome for tick in ticks if tick.outcome is not None]
    assert [each.state for each in outcomes] == ["done", "done"]
    first, second = (read_labels(tmp_path / "masks" / f"case{number}.nii.gz").array for number in range(2))
    np.testing.assert_array_equal(first, second)
    other, its_key = certificate(tmp_path, "other")
    wrong = Workers(address, ca=other, cert=other, key=its_key)
    with pytest.raises(UnavailableError, match="no scheduler answers there"):
        list(segment_cohort(Place.of(tmp_path / "scans"), SegmentJob(Named("unet"), Place.of(tmp_path / "again"), device="cpu"), wrong))
    assert not list(tmp_path.glob("again/case*"))
