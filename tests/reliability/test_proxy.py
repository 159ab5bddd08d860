"""The proxy does what its verbs say: each against an echo server of its own."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.reliability.proxy import Proxy


@pytest.fixture
def echo():
    """Port of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)

    def serve(connection):
        with connection:
            try:
                while data := connection.recv(65_536):
                    connection.sendall(data)
            except OSError:
                return

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.fixture
def proxy(echo):
    with Proxy(echo, seed=7) as made:
        yield made


def dial(proxy, timeout=2.0):
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def said(connection, text=b"hello world", n=None):
    """What comes back of a text, until it is whole or the other side ends."""
    connection.sendall(text)
    got = b""
    while len(got) < (len(text) if n is None else n) and (part := connection.recv(65_536)):
        got += part
    return got


def test_it_passes_everything_on_when_nothing_is_asked_of_it(proxy):
    with dial(proxy) as connection:
        assert said(connection, b"x" * 200_000) == b"x" * 200_000


def test_latency_makes_answers_late_and_toxicity_spares_connections(proxy):
    proxy.latency(120, jitter_ms=20)
    with dial(proxy) as connection:
        started = time.monotonic()
        assert said(connection) == b"hello world"
        assert time.monotonic() - started >= 0.1
    proxy.latency(120, toxicity=0.0)
    with dial(proxy) as connection:
        started = time.monotonic()
        said(connection)
        assert time.monotonic() - started < 0.1


def test_slice_changes_no_byte(proxy):
    proxy.slice(1)
    with dial(proxy) as connection:
        assert said(connection, bytes(range(256))) == bytes(range(256))


def test_limit_ends_the_connection_after_some_bytes(proxy):
    proxy.limit(4)
    with dial(proxy) as connection:
        assert said(connection) == b"hell"


def test_corrupt_changes_bytes_and_the_same_seed_the_same_ones(proxy, echo):
    proxy.corrupt(0.3)
    with Proxy(echo, seed=7) as twin:
        twin.corrupt(0.3)
        with dial(proxy) as one, dial(twin) as other:
            first, second = said(one, b"a" * 100), said(other, b"a" * 100)
    assert first == second != b"a" * 100


def test_blackhole_keeps_the_connection_and_answers_nothing(proxy):
    proxy.blackhole()
    with dial(proxy, timeout=0.2) as connection, pytest.raises(TimeoutError):
        said(connection)


def test_reset_is_a_reset(proxy):
    proxy.reset()
    with dial(proxy) as connection, pytest.raises(ConnectionResetError):
        assert said(connection) == b""


def test_down_refuses_and_up_lets_in_again(proxy):
    with dial(proxy) as connection:
        assert said(connection) == b"hello world"
        proxy.down()
        with pytest.raises(OSError):  # noqa: PT011 - reset or refused, as the system likes
            dial(proxy)
        connection.settimeout(2)
        assert connection.recv(10) == b""
    proxy.up()
    with dial(proxy) as connection:
        assert said(connection) == b"hello world"
