#!/usr/bin/env python3
"""How much of a long way one response takes up, by a stream of its own and through Pico.

    tests/measure/far.py target/release/pico [--rate 12.5] [--round-trip 0.1]

A relay before the node's upstream port, and one before the service, hold every byte back for half
a round trip and let so many million bytes a second pass. What passes is held in a queue, so that
nothing but Pico's own windows and the systems' bounds it; both ways are measured in turn, twice,
for five seconds each once they have had four to come to their speed.
"""

import argparse
import json
import queue
import socket
import subprocess
import threading
import time

PIECE = 65536
SETTLE, MEASURE = 4, 5


def listen(serve):
    """Serves each connection on a thread of its own; returns the port."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(50)

    def accept():
        while True:
            conn, _ = door.accept()
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(conn,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return door.getsockname()[1]


def relay(to, rate, delay):
    """A port from which a long way leads to port `to`."""

    def way(near, far):
        # Twice what the way holds.
        room = threading.Semaphore(max(16, int(4 * rate * delay / PIECE)))
        pieces = queue.Queue()

        def read():
            data = b"-"
            while data:
                room.acquire()
                try:
                    data = near.recv(PIECE)
                except OSError:
                    data = b""
                pieces.put((time.monotonic() + delay, data))

        threading.Thread(target=read, daemon=True).start()
        free = 0.0
        while True:
            due, data = pieces.get()
            try:
                if not data:
                    return far.shutdown(socket.SHUT_WR)
                free = max(free, due) + len(data) / rate
                time.sleep(max(0.0, free - time.monotonic()))
                far.sendall(data)
            except OSError:
                return None
            room.release()

    def serve(near):
        far = socket.create_connection(("127.0.0.1", to))
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=way, args=(near, far), daemon=True).start()
        way(far, near)

    return listen(serve)


def service(conn):
    """Answers without end."""
    request, block = b"", bytes(PIECE)
    while b"\r\n\r\n" not in request:
        request += conn.recv(PIECE)
    try:
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            conn.sendall(block)
    except OSError:
        conn.close()


def measure(port):
    """Million bytes a second that come from `port`."""
    conn = socket.create_connection(("127.0.0.1", port))
    conn.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx-pico-endpoint: far\r\n\r\n")
    begun = time.monotonic()
    got, mark = 0, None
    while True:
        got += len(conn.recv(1 << 20))
        now = time.monotonic()
        if mark is None and now - begun > SETTLE:
            mark = (now, got)
        if mark and now - mark[0] > MEASURE:
            conn.close()
            return (got - mark[1]) / (now - mark[0]) / 1e6


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("pico")
    args.add_argument("--rate", type=float, default=12.5, help="million bytes a second")
    args.add_argument("--round-trip", type=float, default=0.1, help="seconds")
    args = args.parse_args()
    way = (args.rate * 1e6, args.round_trip / 2)
    behind = listen(service)
    flags = [f"--{port}.bind-addr=127.0.0.1:0" for port in ("proxy", "upstream", "admin", "gossip")]
    server = [args.pico, "server", "--log.format", "json", *flags]
    server = subprocess.Popen(server, stderr=subprocess.PIPE, text=True)
    ports = {}
    while len(ports) < 4:
        event = json.loads(server.stderr.readline())
        if event.get("message") == "listening":
            ports[event["port"]] = int(event["address"].rsplit(":", 1)[1])
    threading.Thread(target=lambda: list(server.stderr), daemon=True).start()
    url = f"http://127.0.0.1:{relay(ports['upstream'], *way)}"
    agent = [args.pico, "agent", "http", "far", str(behind), "--connect.url", url]
    agent = subprocess.Popen(agent, stdout=subprocess.PIPE, text=True)
    try:
        while "online" not in agent.stdout.readline():
            pass
        alone = relay(behind, *way)
        for _ in range(2):
            by_itself, through = measure(alone), measure(ports["proxy"])
            print(f"alone {by_itself:.2f} MB/s, through Pico {through:.2f} MB/s")
    finally:
        agent.terminate()
        server.terminate()


if __name__ == "__main__":
    main()
