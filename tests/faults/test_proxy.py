"""The proxy does to a connection what the faults say that it does."""

import socket
import threading
import time

import pytest

from mainstem.embedded.ports import free_ports
from tests.faults.proxy import DOWN, UP, Network, Proxy, to_port


@pytest.fixture
def proxy():
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_answer_all, args=(server,), daemon=True).start()
    network = Network()
    yield network.open(Proxy(free_ports(1)[0], to_port(server.getsockname()[1])))
    network.close()
    server.close()


def _answer_all(server):
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection):
    with connection:
        try:
            while data := connection.recv(1024):
                connection.sendall(data)
        except OSError:
            return


def connected(proxy):
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    client.sendall(b"hello")
    assert client.recv(5) == b"hello"
    return client


def hears_nothing(client):
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(5)
    client.settimeout(5)


@pytest.mark.parametrize("held", [{UP}, {DOWN}, {UP, DOWN}])
def test_what_was_cut_off_is_delivered_late(proxy, held):
    with connected(proxy) as client:
        proxy.held = frozenset(held)
        client.sendall(b"later")
        hears_nothing(client)
        proxy.held = frozenset()
        assert client.recv(5) == b"later"


def test_a_reset_ends_every_connection_and_new_ones_pass(proxy):
    with connected(proxy) as client:
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            client.recv(5)
    connected(proxy).close()


def test_what_waits_at_a_reset_is_lost(proxy):
    with connected(proxy) as client:
        proxy.held = frozenset({UP})
        before = proxy.carried
        client.sendall(b"never")
        time.sleep(0.2)
        proxy.reset()
        proxy.held = frozenset()
        time.sleep(0.2)
        assert proxy.carried == before


def test_nobody_connects_while_it_refuses(proxy):
    with connected(proxy):
        assert proxy.refuse() == 1
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        proxy.admit()
        connected(proxy).close()


def test_a_client_does_not_hear_that_its_connection_is_half_open(proxy):
    with connected(proxy) as client:
        assert proxy.forget() == 1
        client.sendall(b"hello")
        hears_nothing(client)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(5)


def test_bytes_pass_as_late_as_the_latency_says(proxy):
    with connected(proxy) as client:
        proxy.latency = 0.2
        begin = time.monotonic()
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        assert time.monotonic() - begin >= 0.4
