#!/usr/bin/env python3
"""Nodes in network namespaces: how fast a change spreads, a crash is seen, and a cut heals,
and what becomes of requests meanwhile.

Run it by hand, as root, on Linux: ./measure.py PICO... [--nodes N] [--runs R] [--loss PERCENT]
[--delay MS] [--cut SECONDS]. Of several binaries each node takes the next. Each node has a
namespace of its own; half of them hang on one bridge and half on another, and the cable between
the bridges is what is cut. Loss needs `nft`, and delay the kernel's netem; the script ends with a
message where they are missing. Compare what it prints with `pico-sim bench --nodes N --latency
50us`, which is about what a packet takes here. All that it makes it takes away again.
"""
import argparse, datetime, json, os, re, socket, statistics, struct, subprocess, sys, tempfile
import threading, time

ARGS = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ARGS.add_argument("pico", nargs="+")
ARGS.add_argument("--nodes", type=int, default=10)
ARGS.add_argument("--runs", type=int, default=5)
ARGS.add_argument("--loss", type=float, default=0)
ARGS.add_argument("--delay", type=float, default=0)
ARGS.add_argument("--cut", type=float, default=120)
ARGS = ARGS.parse_args()
NET = "10.213.7"
PATIENCE = 60


def sh(line):
    done = subprocess.run(line.split(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{line}: {done.stderr.strip()}")


def address(node):
    return f"{NET}.{node}"


def pico(node):
    return ARGS.pico[node % len(ARGS.pico)]


class Net:
    """Two bridges in the root namespace, and a namespace on one of them for each node."""

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        for side in "ab":
            sh(f"ip link add pico-{side} type bridge")
            sh(f"ip link set pico-{side} up")
        sh("ip link add pico-cut-a type veth peer name pico-cut-b")
        for side in "ab":
            sh(f"ip link set pico-cut-{side} master pico-{side}")
            sh(f"ip link set pico-cut-{side} up")
        sh(f"ip addr add {address(254)}/24 dev pico-a")
        for node in range(1, ARGS.nodes + 1):
            side = "a" if node <= (ARGS.nodes + 1) // 2 else "b"
            sh(f"ip netns add pico-{node}")
            sh(f"ip link add pico-v{node} type veth peer name eth0 netns pico-{node}")
            sh(f"ip link set pico-v{node} master pico-{side}")
            sh(f"ip link set pico-v{node} up")
            inside = f"ip -n pico-{node}"
            sh(f"{inside} addr add {address(node)}/24 dev eth0")
            sh(f"{inside} link set lo up")
            sh(f"{inside} link set eth0 up")
            within = f"ip netns exec pico-{node}"
            if ARGS.delay:
                sh(f"{within} tc qdisc add dev eth0 root netem delay {ARGS.delay}ms")
            if ARGS.loss:
                sh(f"{within} nft add table ip pico")
                sh(f"{within} nft add chain ip pico lossy {{ type filter hook input priority 0 ; }}")
                drop = f"numgen random mod 10000 < {round(ARGS.loss * 100)} drop"
                sh(f"{within} nft add rule ip pico lossy iifname eth0 {drop}")

    def cut(self, cut):
        sh(f"ip link set pico-cut-a {'down' if cut else 'up'}")

    def __exit__(self, *_):
        # A namespace lasts as long as anybody in it.
        for node in NODES.values():
            node.process.kill()
            node.process.wait()
        lines = [f"ip link del pico-v{node}" for node in range(1, ARGS.nodes + 1)]
        lines += [f"ip netns del pico-{node}" for node in range(1, ARGS.nodes + 1)]
        lines += ["ip link del pico-cut-a", "ip link del pico-a", "ip link del pico-b"]
        for line in lines:
            subprocess.run(line.split(), stderr=subprocess.DEVNULL)


class Node:
    """A node, and the events of its log by the system's clock."""

    def __init__(self, number):
        self.number, self.events = number, []
        self.changed = threading.Condition()
        at = address(number)
        ports = ["--proxy.bind-addr", f"{at}:8001", "--upstream.bind-addr", f"{at}:8002"]
        ports += ["--admin.bind-addr", f"{at}:8003", "--gossip.bind-addr", f"{at}:8004"]
        ports += ["--cluster.insecure", "true", "--cluster.node-id", f"node-{number}"]
        if number > 1:
            ports += ["--cluster.join", f"{address(1)}:8004"]
        command = ["ip", "netns", "exec", f"pico-{number}", pico(number), "server"]
        command += ["--workers", "1", "--log.format", "text"]
        self.process = subprocess.Popen(command + ports, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stderr:
            stamp, _, rest = line.strip().partition(" ")
            try:
                at = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
            except ValueError:
                continue
            with self.changed:
                self.events.append((at, rest))
                self.changed.notify_all()

    def wait_until_served(self, number):
        """Until requests for what both halves serve are answered here."""
        end = time.time() + PATIENCE
        line = ["ip", "netns", "exec", f"pico-{number}", pico(1), "bench", "http", "--endpoint"]
        line += ["web", "--rate", "10", "--duration", "100ms", f"http://{address(number)}:8001/"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        while subprocess.run(line, **quiet).returncode:
            if time.time() > end:
                raise RuntimeError(f"node-{number}: nobody serves in {PATIENCE} s")

    def wait(self, pattern, since):
        """When a line after `since` first matched."""
        end, wanted = time.time() + PATIENCE, re.compile(pattern)
        with self.changed:
            while True:
                for at, text in self.events:
                    if at >= since and wanted.search(text):
                        return at
                if not self.changed.wait(end - time.time()):
                    raise RuntimeError(f"node-{self.number}: no {pattern!r} in {PATIENCE} s")


class Ear:
    """Hears what passes the bridges, with the time at which the system saw it: no node has to be
    asked, which would take the processor from those that are measured."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.settimeout(PATIENCE)

    def first(self, word, nodes):
        """When a packet with this word in it first came to each of these nodes."""
        places = {socket.inet_aton(address(node)): node for node in nodes}
        times = {}
        while len(times) < len(places):
            packet, extra, _, _ = self.socket.recvmsg(65_536, 256)
            node = places.get(packet[30:34])
            if node is not None and node not in times and word in packet:
                seconds, nanos = struct.unpack("qq", extra[0][2][:16])
                times[node] = seconds + nanos / 1e9
        return times

    def close(self):
        self.socket.close()


QUIET = 2
# Requests a second at each node, and how long a cut lasts while they are made, in seconds.
RATE = 50
PART = 20
SO_TIMESTAMPNS = 35
ETH_P_ALL = 3


def change(run):
    """From the time at which the first node has an upstream to the last node's hearing of it."""
    # Alone: what else is new travels too.
    time.sleep(QUIET)
    endpoint, ear = f"change-{run}-", Ear()
    command = ["ip", "netns", "exec", "pico-1", pico(1), "agent", "http", endpoint, "9"]
    command += ["--connect.url", f"http://{address(1)}:8002"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    agent = subprocess.Popen(command, **quiet)
    try:
        times = ear.first(endpoint.encode(), range(2, ARGS.nodes + 1))
        return max(times.values()) - NODES[1].wait(f"registered endpoint={endpoint} ", 0)
    except socket.timeout:
        raise RuntimeError(f"not every node heard of {endpoint} in {PATIENCE} s")
    finally:
        ear.close()
        agent.kill()
        agent.wait()


def crash():
    """From the death of the last node to its being held dead by every other."""
    last, begun = NODES[ARGS.nodes], time.time()
    last.process.kill()
    last.process.wait()
    others = [NODES[node] for node in range(1, ARGS.nodes)]
    spans = [node.wait(f"dead node=node-{ARGS.nodes}", begun) - begun for node in others]
    start(ARGS.nodes)
    return max(spans)


def heal(net):
    """From the end of a cut to each node's having found again all that it had held dead."""
    half = (ARGS.nodes + 1) // 2
    begun = time.time()
    net.cut(True)
    halves = [range(1, half + 1), range(half + 1, ARGS.nodes + 1)]
    pairs = [(a, b) for a in halves[0] for b in halves[1]]
    pairs += [(b, a) for a, b in pairs]
    for one, other in pairs:
        NODES[one].wait(f"dead node=node-{other}$", begun)
    time.sleep(max(0, begun + ARGS.cut - time.time()))
    healed = time.time()
    net.cut(False)
    return max(NODES[one].wait(f"found node=node-{o} ", healed) for one, o in pairs) - healed


class Users:
    """A service, its agent and clients in one half: the agent at one node of it, which is that
    of its namespace, and the clients at all of them in turn."""

    def __init__(self, nodes, seconds):
        self.within = ["ip", "netns", "exec", f"pico-{nodes[0]}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        service = [sys.executable, "-m", "http.server", "9", "--directory", EMPTY]
        agent = [pico(nodes[0]), "agent", "http", "web", "127.0.0.1:9"]
        agent += ["--connect.url", f"http://{address(nodes[0])}:8002"]
        self.served = [subprocess.Popen(self.within + line, **quiet) for line in (service, agent)]
        self.nodes, self.seconds, self.clients = nodes, seconds, []

    def begin(self):
        for node in self.nodes:
            line = [*self.within, pico(1), "bench", "http", f"http://{address(node)}:8001/"]
            line += ["--endpoint", "web", "--rate", str(RATE), "--duration", f"{self.seconds}s"]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self.clients.append(subprocess.Popen([*line, "--json"], **pipes))

    def told(self):
        tallies = [json.loads(client.communicate()[0]) for client in self.clients]
        for process in self.served:
            process.kill()
            process.wait()
        errors = {}
        for tally in tallies:
            for code, count in tally["errors"].items():
                errors[code] = errors.get(code, 0) + count
        slowest = max(tally["latency_us"]["max"] for tally in tallies) / 1000
        late = max(tally["latency_us"]["p99"] for tally in tallies) / 1000
        count = sum(tally["answers"] for tally in tallies)
        return f"{count} answers, errors {errors}, 99 % {late:.1f} ms, slowest {slowest:.0f} ms"


def part(net):
    """Requests at both halves, of which each has an upstream, while they are cut off from each
    other: for as long before it and after as it lasts."""
    half = (ARGS.nodes + 1) // 2
    both = [range(1, half + 1), range(half + 1, ARGS.nodes + 1)]
    sides = [Users(nodes, round(3 * PART)) for nodes in both]
    try:
        for number, node in NODES.items():
            node.wait_until_served(number)
        for side in sides:
            side.begin()
        time.sleep(PART)
        net.cut(True)
        time.sleep(PART)
        net.cut(False)
        return [side.told() for side in sides]
    finally:
        for process in (process for side in sides for process in side.served + side.clients):
            process.kill()


def start(number):
    begun = time.time()
    NODES[number] = Node(number)
    NODES[number].wait(r"\bready\b", begun)
    for other in NODES.values():
        if other.number != number:
            other.wait(f"found node=node-{number} ", begun)


def told(what, spans):
    spans = sorted(round(span * 1000, 1) for span in spans)
    late = spans[len(spans) * 99 // 100]
    print(f"{what:36}  median {statistics.median(spans):6.1f} ms, 99 % {late:6.1f} ms   {spans}",
          flush=True)


NODES = {}
EMPTY = tempfile.mkdtemp(prefix="pico-netns-")
try:
    with Net() as net:
        for number in range(1, ARGS.nodes + 1):
            start(number)
        told("a change is known by every node", [change(run) for run in range(ARGS.runs)])
        told("a crash is seen by every node", [crash() for _ in range(ARGS.runs)])
        told("a cluster in two halves is one again", [heal(net) for _ in range(min(2, ARGS.runs))])
        for half, told_there in zip("ab", part(net)):
            print(f"requests while it is cut, half {half}:   {told_there}", flush=True)
except RuntimeError as error:
    sys.exit(f"measure.py: {error}")
finally:
    os.rmdir(EMPTY)
