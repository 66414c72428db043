"""Where files are found: KGEN_DATA_DIR, the cache, a server on the loopback interface."""

import errno
import gc
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from test_data import error_line

from kgen.data import Split, sources
from kgen.data.sources import Source, find
from kgen.errors import KgenError

CONTENT = b"sixteen pixels.."
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def read(folder):
    pixels = np.frombuffer((folder / "tiny.bin").read_bytes(), np.uint8)
    return Split(pixels.reshape(1, 4, 4, 1)), Split(pixels.reshape(1, 4, 4, 1))


def source(url, sha256=SHA256, file="tiny.bin"):
    return Source(publisher="a test", files={file: sha256}, read=read, url=url)


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT as tiny.bin, its first half as torn.bin, and nothing else."""

    def do_GET(self):
        self.server.requests += 1
        found = self.path in ("/tiny.bin", "/torn.bin")
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(CONTENT) if found else 0))
        self.end_headers()
        if found:
            self.wfile.write(CONTENT[:8] if self.path == "/torn.bin" else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = 0
    server.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, no KGEN_DATA_DIR, and no proxy between the tests and their server."""
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("KGEN_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


def failure(*sources):
    with pytest.raises(KgenError) as caught:
        find("tiny", sources)
    message = str(caught.value)
    assert "\n" not in message
    return message


def left_behind(cache):
    return [path for path in cache.rglob("*") if path.is_file()]


def test_download_fills_the_cache_with_a_progress_bar(server, cache, capsys):
    found, folder = find("tiny", (source(server.url),))
    assert folder == cache / "tiny"
    assert found.read(folder)[0].images.tobytes() == CONTENT
    assert left_behind(cache) == [cache / "tiny" / "tiny.bin"]
    assert "100%" in capsys.readouterr().err


def test_cached_file_is_not_downloaded_again(server):
    for _ in range(2):
        find("tiny", (source(server.url),))
    assert server.requests == 1


def test_damaged_file_in_the_cache_is_downloaded_again(server, cache):
    find("tiny", (source(server.url),))
    (cache / "tiny" / "tiny.bin").write_bytes(b"torn")
    find("tiny", (source(server.url),))
    assert (cache / "tiny" / "tiny.bin").read_bytes() == CONTENT


def test_wrong_checksum_is_an_error(server, cache):
    message = failure(source(server.url, sha256="0" * 64))
    assert SHA256 in message
    assert "0" * 64 in message
    assert left_behind(cache) == []


def test_torn_transfer_is_an_error(server, cache):
    assert "torn.bin" in failure(source(server.url, file="torn.bin"))
    assert left_behind(cache) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_file_that_the_server_lacks_is_an_error(server, cache):
    assert "404" in failure(source(server.url, file="absent.bin"))
    assert left_behind(cache) == []
    gc.collect()  # pooch leaves a refused response open: let that show here, not in a later test.


def test_no_connection_is_an_error_that_says_what_to_do(server, cache):
    server.shutdown()
    server.server_close()
    message = failure(source(server.url))
    assert "tiny.bin" in message
    assert "no connection" in message
    assert "set KGEN_DATA_DIR" in message
    assert left_behind(cache) == []


def test_full_disk_is_an_error(server, cache, monkeypatch):
    def write_to_full_disk(self, url, output_file, *args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", write_to_full_disk)
    assert "the disk is full" in failure(source(server.url))
    assert left_behind(cache) == []


def test_interrupted_download_leaves_nothing_behind(server, cache, monkeypatch):
    def interrupt(self, url, output_file, *args):
        output_file.write(CONTENT[:8])
        output_file.flush()
        raise KeyboardInterrupt

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        find("tiny", (source(server.url),))
    assert left_behind(cache) == []


def test_server_that_sends_without_end_is_cut_off(server, cache, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST_DOWNLOAD", 10)
    assert "the server sends more than any set has" in failure(source(server.url))
    assert left_behind(cache) == []


def test_cache_that_cannot_be_written_is_an_error(server, cache):
    cache.write_text("a file where the folder should be")
    assert "tiny.bin" in failure(source(server.url))


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    monkeypatch.setenv("KGEN_DATA_DIR", str(folder.parent))
    return folder


def test_data_dir_comes_before_the_cache(server, data_dir):
    (data_dir / "tiny.bin").write_bytes(CONTENT)
    _, folder = find("tiny", (source(server.url),))
    assert folder == data_dir
    assert server.requests == 0


def test_damaged_file_in_the_data_dir_is_an_error(server, data_dir):
    (data_dir / "tiny.bin").write_bytes(b"torn")
    message = failure(source(server.url))
    assert "tiny.bin to have the sha256" in message
    assert server.requests == 0
    assert (data_dir / "tiny.bin").read_bytes() == b"torn"


def test_unreadable_file_in_the_data_dir_is_an_error(data_dir, monkeypatch):
    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    (data_dir / "tiny.bin").write_bytes(CONTENT)
    monkeypatch.setattr("hashlib.file_digest", fail)
    assert "tiny.bin (Input/output error): mend it." in failure(source(""))


def test_file_missing_from_the_data_dir_is_downloaded(server, data_dir, cache):
    _, folder = find("tiny", (source(server.url),))
    assert folder == cache / "tiny"


def test_first_release_is_preferred(data_dir):
    whole, subset = source(""), source("", file="subset.bin")
    (data_dir / "subset.bin").write_bytes(CONTENT)
    assert find("tiny", (whole, subset))[0] is subset
    (data_dir / "tiny.bin").write_bytes(CONTENT)
    assert find("tiny", (whole, subset))[0] is whole


def test_named_set_that_cannot_be_had_names_its_files(data_dir, monkeypatch):
    def refuse(self, url, *args):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", refuse)
    message = error_line("mnist")
    assert "train-images-idx3-ubyte.gz" in message
    assert "t10k-labels-idx1-ubyte.gz" in message
    assert str(data_dir.parent / "mnist") in message
    assert "KGEN_DATA_DIR" in message
