"""Reads HTTP/1.1 with h11, for a test that holds Pico against it.

Each line that comes is a JSON list of texts to read, each line that goes what h11 made of them.
Bytes are strings of the characters U+0000 to U+00FF. Every message is read by a connection of its
own, so that what may follow it is for the test to judge.
"""

import json
import sys

import h11

HEAD_MAX = 1 << 20


def pairs(headers):
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers.raw_items()]


def message(first, event):
    return {
        "first": [part.decode("latin-1") for part in first],
        "old": event.http_version == b"1.0",
        "fields": pairs(event.headers),
        "body": "",
        "trailers": [],
        "whole": False,
        "lasts": False,
        "more": False,
        "rest": None,
    }


def take_body(conn, found):
    """Reads up to the end of a message; false if that is not there."""
    body = []
    try:
        while True:
            event = conn.next_event()
            if isinstance(event, h11.Data):
                body.append(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found["trailers"] = pairs(event.headers)
                found["whole"] = True
                return True
            else:
                return False
    finally:
        found["body"] = b"".join(body).decode("latin-1")


def feed(conn, text, fin):
    conn.receive_data(text)
    if fin:
        conn.receive_data(b"")


def requests(text, fin, found):
    while text:
        conn = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MAX)
        feed(conn, text, fin)
        event = conn.next_event()
        if not isinstance(event, h11.Request):
            return
        found.append(message([event.method, event.target], event))
        if not take_body(conn, found[-1]):
            return
        text = conn.trailing_data[0]
        found[-1]["rest"] = text.decode("latin-1")
        conn.send(h11.Response(status_code=404, headers=[]))
        conn.send(h11.EndOfMessage())
        found[-1]["lasts"] = conn.their_state is h11.DONE


def responses(text, fin, asked, found):
    for method, upgrade in asked:
        if not text:
            return
        conn = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MAX)
        fields = [("Host", "a")]
        if upgrade:
            fields += [("Connection", "upgrade"), ("Upgrade", "echo")]
        conn.send(h11.Request(method=method, target="/", headers=fields))
        conn.send(h11.EndOfMessage())
        feed(conn, text, fin)
        while True:
            event = conn.next_event()
            if not isinstance(event, (h11.InformationalResponse, h11.Response)):
                return
            found.append(message([b"%d" % event.status_code, event.reason], event))
            if isinstance(event, h11.Response):
                break
            found[-1]["whole"] = True
            if event.status_code == 101:
                found[-1]["rest"] = conn.trailing_data[0].decode("latin-1")
                return
        if not take_body(conn, found[-1]):
            return
        text = conn.trailing_data[0]
        found[-1]["lasts"] = conn.their_state is h11.DONE
        found[-1]["more"] = bool(text)


def read(ask):
    found, error = [], None
    text = ask["text"].encode("latin-1")
    try:
        if ask["asked"] is None:
            requests(text, ask["fin"], found)
        else:
            responses(text, ask["fin"], ask["asked"], found)
    except h11.RemoteProtocolError as refused:
        error = str(refused)
    return {"messages": found, "error": error}


print(json.dumps(h11.__version__), flush=True)
for line in sys.stdin:
    print(json.dumps([read(ask) for ask in json.loads(line)]), flush=True)
