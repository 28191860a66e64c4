#!/usr/bin/env python3
"""What a request costs: processor time of nodes and agents for each request, in one run.

Run it by hand, on Linux, with `wrk` and `nginx` installed: ./cost.py PICO [--seconds S]
[--rounds R] [--connections C] [--endpoints N]. Three cases take turns, so that what else the
machine does meets them alike, and their ratios are what counts:

  local    the client's node holds the upstream
  remote   another node does, and the request crosses a link
  crowded  as local, at a node of another cluster that knows N endpoints besides (0: left out)

Each node, and the agents at it, has one worker. No limits of the system are changed: for N
endpoints there are as many nodes and agents as its limit on descriptors asks for.
"""
import argparse, http.client, os, resource, shutil, statistics, subprocess, sys, tempfile, time

ARGS = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ARGS.add_argument("pico")
ARGS.add_argument("--seconds", type=int, default=5)
ARGS.add_argument("--rounds", type=int, default=5)
ARGS.add_argument("--connections", type=int, default=64)
ARGS.add_argument("--endpoints", type=int, default=0)
ARGS = ARGS.parse_args()
PATIENCE = 600
BODY = 1024
IDLE = 5
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
        command += ["--cluster.node-id", f"node-{number}"]
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
        rest = ["--connect.url", url, "--log.level", "error"]
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


def load(node, endpoint, pids):
    """Microseconds of a processor for each request, and requests a second."""
    command = ["wrk", "-t1", f"-c{ARGS.connections}", f"-d{ARGS.seconds}s"]
    command += ["-H", f"x-pico-endpoint: {endpoint}", f"http://127.0.0.1:{node.proxy}/"]
    before = cpu(pids)
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu(pids) - before
    count = next(int(line.split()[0]) for line in out.splitlines() if " requests in " in line)
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"cost.py: some failed:\n{out}")
    return spent / count / 1000, count / ARGS.seconds


def crowd(first):
    """A node with an upstream, in a cluster with as many endpoints as are asked for, at as many
    nodes as they need."""
    room = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200, PORTS)
    holder = Node(first)
    agent, left, number = holder.agent("web"), ARGS.endpoints, first + 1
    while left > 0:
        some = min(left, room)
        Node(number, holder).agent(*(f"crowd-{number}-{at}" for at in range(some)))
        left, number = left - some, number + 1
    begun = time.time()
    wait("all endpoints are known", lambda: holder.endpoints() > ARGS.endpoints)
    print(f"{ARGS.endpoints} endpoints are known after {time.time() - begun:.0f} s", flush=True)
    return holder, [holder.pid, agent]


def main():
    with open(f"{FOLDER}/nginx.conf", "w") as file:
        file.write(NGINX.format(folder=FOLDER, port=PORT, body="x" * BODY))
    start("nginx", "-e", "stderr", "-p", FOLDER, "-c", f"{FOLDER}/nginx.conf")
    holder = Node(0)
    other = Node(1, holder)
    agent = holder.agent("web")
    cases = {"local": (holder, [holder.pid, agent])}
    cases["remote"] = (other, [holder.pid, other.pid, agent])
    if ARGS.endpoints:
        cases["crowded"] = crowd(2)
    for node, _ in cases.values():
        wait("requests are answered", lambda: answers(node.proxy, "/", "web")[0] == 200)
    quiet = {}
    for name, (_, pids) in cases.items():
        before = cpu(pids)
        time.sleep(IDLE)
        quiet[name] = (cpu(pids) - before) / IDLE / 1e6
    told = {name: [] for name in cases}
    for _ in range(ARGS.rounds):
        for name, (node, pids) in cases.items():
            told[name].append(load(node, "web", pids))
    base = statistics.median(cost for cost, _ in told["local"])
    for name, samples in told.items():
        costs, rates = [cost for cost, _ in samples], [rate for _, rate in samples]
        cost = statistics.median(costs)
        spread = " ".join(f"{cost:.1f}" for cost in sorted(costs))
        rate = statistics.median(rates)
        print(f"{name:8} {cost:7.1f} us a request, {cost / base:.2f} of local, "
              f"{rate:7.0f} a second   ({spread}), and {quiet[name]:.1f} ms a second when idle")


try:
    main()
finally:
    for process in PROCESSES:
        process.kill()
    shutil.rmtree(FOLDER, ignore_errors=True)
