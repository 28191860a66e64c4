#!/usr/bin/env python3
"""What a request costs: processor time of nodes and agents for each request, in one run.

Run it by hand, on Linux, with `wrk` and `nginx` installed: ./cost.py PICO [--seconds S]
[--rounds R] [--connections C] [--endpoints N]. The cases take turns, so that what else the
machine does meets them alike, and their ratios are what counts:

  local    the client's node holds the upstream
  remote   another node does, and the request crosses a link
  peers    as local, at a node of a cluster that is as large as the next one (without N left out)
  crowded  as local, at a node of a cluster in which N endpoints are served besides

So what N endpoints change is the ratio of the last two: what a larger cluster costs is in both.
Each node, and the agents at it, has one worker. No limits of the system are changed: for N
endpoints there are as many nodes and agents as its limit on descriptors asks for, and they hold
equally many, so that none is asked to move. Heartbeats are rare, lest those of N tunnels take the
processor. What the processes take without requests is measured too, each time, and is not in what
a request costs. A ratio is the median of those of the rounds.
"""
import argparse, http.client, operator, os, resource, shutil, statistics, subprocess, sys
import tempfile, time

ARGS = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ARGS.add_argument("pico")
ARGS.add_argument("--seconds", type=int, default=5)
ARGS.add_argument("--rounds", type=int, default=5)
ARGS.add_argument("--connections", type=int, default=64)
ARGS.add_argument("--endpoints", type=int, default=0)
ARGS = ARGS.parse_args()
PATIENCE = 600
BODY = 1024
IDLE = 2
HEARTBEAT = "10m"
# Connections to one address for which Linux finds a port quickly, as it is usually set up.
PORTS = 14_000
PORT = 24_000
FOLDER = tempfile.mkdtemp(prefix="pico-cost-")
PROCESSES = []
NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;
client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{body}"; }} }} }}
"""


def start(*command):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    PROCESSES.append(subprocess.Popen(command, **quiet))
    return PROCESSES[-1].pid


def answers(port, path, endpoint="-"):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        conn.request("GET", path, headers={"x-pico-endpoint": endpoint})
        got = conn.getresponse()
        return got.status, got.read()
    except OSError:
        return 0, b""
    finally:
        conn.close()


def wait(what, holds):
    end = time.time() + PATIENCE
    while not holds():
        if time.time() > end:
            sys.exit(f"cost.py: not in {PATIENCE} s: {what}")
        time.sleep(0.1)


class Node:
    """A node of the cluster, with one worker."""

    def __init__(self, number, join=None):
        base = PORT + 10 + 10 * number
        self.proxy, self.upstream, self.admin, self.gossip = range(base, base + 4)
        command = [ARGS.pico, "server", "--workers", "1", "--log.level", "error"]
        for name in ("proxy", "upstream", "admin"):
            command += [f"--{name}.bind-addr", f"127.0.0.1:{getattr(self, name)}"]
        command += ["--gossip.bind-addr", f"127.0.0.1:{self.gossip}"]
        command += ["--cluster.node-id", f"node-{number}", "--upstream.heartbeat", HEARTBEAT]
        if join:
            command += ["--cluster.join", f"127.0.0.1:{join.gossip}"]
        self.pid = start(*command)
        wait("a node is ready", lambda: answers(self.admin, "/ready")[0] == 200)

    def agent(self, *endpoints):
        name = os.path.join(FOLDER, f"{self.proxy}.{len(PROCESSES)}.yaml")
        with open(name, "w") as file:
            file.write("listeners:\n")
            for endpoint in endpoints:
                file.write(f"  - {{endpoint: {endpoint}, addr: '127.0.0.1:{PORT}'}}\n")
        url = f"http://127.0.0.1:{self.upstream}"
        rest = ["--connect.url", url, "--connect.heartbeat", HEARTBEAT, "--log.level", "error"]
        return start(ARGS.pico, "agent", "start", "--config", name, *rest)

    def endpoints(self):
        for line in answers(self.admin, "/metrics")[1].decode().splitlines():
            if line.startswith("pico_endpoints "):
                return int(line.split()[1])
        return 0


def cpu(pids):
    """Nanoseconds that all threads of the processes had of a processor."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
    return total


def quiet(pids):
    """Nanoseconds of a processor that they take in a second without requests."""
    before, begun = cpu(pids), time.monotonic()
    time.sleep(IDLE)
    return (cpu(pids) - before) / (time.monotonic() - begun)


def load(node, endpoint, pids):
    """Nanoseconds of a processor, requests, and seconds."""
    command = ["wrk", "-t1", f"-c{ARGS.connections}", f"-d{ARGS.seconds}s"]
    command += ["-H", f"x-pico-endpoint: {endpoint}", f"http://127.0.0.1:{node.proxy}/"]
    before, begun = cpu(pids), time.monotonic()
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent, took = cpu(pids) - before, time.monotonic() - begun
    count = next(int(line.split()[0]) for line in out.splitlines() if " requests in " in line)
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"cost.py: some failed:\n{out}")
    return spent, count, took


def crowd(first, nodes, endpoints):
    """A node with an upstream, in a cluster with so many other nodes, at which so many endpoints
    are served."""
    holder = Node(first)
    agent = holder.agent("web")
    for at in range(nodes):
        some = endpoints * (at + 1) // nodes - endpoints * at // nodes
        Node(first + 1 + at, holder).agent(*(f"crowd-{at}-{one}" for one in range(some)))
    begun = time.time()
    wait("all endpoints are known", lambda: holder.endpoints() > endpoints)
    print(f"{endpoints} endpoints are known after {time.time() - begun:.0f} s", flush=True)
    return holder, [holder.pid, agent]


def cases():
    holder = Node(0)
    other = Node(1, holder)
    agent = holder.agent("web")
    made = {"local": (holder, [holder.pid, agent])}
    made["remote"] = (other, [holder.pid, other.pid, agent])
    if ARGS.endpoints:
        room = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200, PORTS)
        nodes = -(-ARGS.endpoints // room)
        made["peers"] = crowd(2, nodes, nodes)
        made["crowded"] = crowd(3 + nodes, nodes, ARGS.endpoints)
    for node, _ in made.values():
        wait("requests are answered", lambda: answers(node.proxy, "/", "web")[0] == 200)
    return made


def main():
    with open(f"{FOLDER}/nginx.conf", "w") as file:
        file.write(NGINX.format(folder=FOLDER, port=PORT, body="x" * BODY))
    start("nginx", "-e", "stderr", "-p", FOLDER, "-c", f"{FOLDER}/nginx.conf")
    made = cases()
    idle, costs, rates = ({name: [] for name in made} for _ in range(3))
    for at in range(ARGS.rounds):
        # There and back: none is always the one behind another.
        for name, (node, pids) in list(made.items())[:: -1 if at % 2 else 1]:
            idle[name].append(quiet(pids))
            spent, count, took = load(node, "web", pids)
            costs[name].append((spent - idle[name][-1] * took) / count / 1000)
            rates[name].append(count / took)
    for name in made:
        of = "peers" if name == "crowded" else "local"
        ratio = statistics.median(map(operator.truediv, costs[name], costs[of]))
        cost, rate = statistics.median(costs[name]), statistics.median(rates[name])
        spread = " ".join(f"{cost:.1f}" for cost in costs[name])
        rest = statistics.median(idle[name]) / 1e6
        print(f"{name:8} {cost:6.1f} us a request, {ratio:.2f} of {of}, {rate:6.0f} a second, "
              f"and {rest:.1f} ms a second without any   ({spread})")


try:
    main()
finally:
    for process in PROCESSES:
        process.kill()
    shutil.rmtree(FOLDER, ignore_errors=True)
