"""A certificate that cannot be used is named before the server starts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tfwd.errors import ConfigError
from tfwd.server.certificate import check_certificate

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes keys, is not installed")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates with their keys, a key with a password, and a file that is neither."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    for name in ("one", "other"):
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        made = ["req", "-x509", *curve, "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        openssl(*made, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl("pkey", "-in", "one.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
    (folder / "garbage").write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    return folder


def test_a_certificate_and_its_key_are_taken(files: Path) -> None:
    check_certificate(files / "one.pem", files / "one.key")


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("garbage", "one.key", "--tls-cert: {}/garbage holds no certificate in the form PEM: "),
        ("one.key", "one.key", "--tls-cert: {}/one.key holds no certificate in the form PEM: "),
        ("nothing", "one.key", "--tls-cert: {}/nothing cannot be read: No such file or directory. Give a PEM file."),
        ("one.pem", "nothing", "--tls-key: {}/nothing cannot be read: "),
        ("one.pem", "garbage", "--tls-key: {0}/garbage holds no key for {0}/one.pem in the form PEM: "),
        ("one.pem", "other.key", "--tls-key: {0}/other.key is the key of another certificate than {0}/one.pem."),
        ("one.pem", "locked.key", "--tls-key: {}/locked.key has a password. Give the key without: openssl pkey"),
    ],
)
def test_what_cannot_be_used_is_named(files: Path, certificate: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_certificate(files / certificate, files / key)
    assert str(refused.value).startswith(message.format(files))
