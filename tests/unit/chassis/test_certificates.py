"""Certificates follow their files, and half of a renewal reaches nobody."""

import ssl

import pytest
import trustme

from chassis.tls import KeyPair, RenewingContext, TlsFiles, client_context


@pytest.fixture
def pair(tmp_path):
    pair = KeyPair(tmp_path / "cert.pem", tmp_path / "key.pem")
    issue(trustme.CA(), pair)
    return pair


def issue(authority, pair, *, key: bool = True) -> None:
    made = authority.issue_cert("localhost")
    made.cert_chain_pems[0].write_to_path(str(pair.certificate))
    if key:
        made.private_key_pem.write_to_path(str(pair.key))


def shown(context) -> bytes:
    """The certificate that a listener with this context shows, over two pipes in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours.getpeercert(binary_form=True)


def test_a_renewed_certificate_is_taken_up_and_an_unchanged_one_is_not_read_again(pair):
    listening = RenewingContext.of(pair)
    before = shown(listening.context)
    assert not listening.renew()
    issue(trustme.CA(), pair)
    assert listening.renew()
    assert shown(listening.context) != before


def test_a_certificate_without_its_key_reaches_nobody(pair):
    listening = RenewingContext.of(pair)
    before = shown(listening.context)
    issue(trustme.CA(), pair, key=False)
    with pytest.raises(ssl.SSLError):
        listening.renew()
    assert shown(listening.context) == before


def test_files_that_are_missing_are_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        client_context(TlsFiles(authorities=tmp_path / "none.pem"))
    with pytest.raises(FileNotFoundError):
        TlsFiles(authorities=tmp_path / "none.pem").stamp()


def test_old_protocols_are_refused(pair):
    assert RenewingContext.of(pair).context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert client_context(TlsFiles()).minimum_version >= ssl.TLSVersion.TLSv1_2
