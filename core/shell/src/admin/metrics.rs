//! What a node counted, as Prometheus or `OpenMetrics` text. `spec/metrics.md` lists it all.

use super::json::state;
use pico_core::Reason;
use pico_core::server::status::{Format, GossipNumbers, Metrics, Written};
use pico_core::server::{ByReason, Histogram};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::Result;

/// Writes them.
pub(super) fn write(metrics: &Metrics, format: Format) -> Written {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(metrics.clone())));
    let mut out = String::new();
    let (kind, done) = match format {
        Format::Prometheus => {
            (prometheus_text::CONTENT_TYPE, prometheus_text::encode(&mut out, &registry))
        }
        Format::OpenMetrics => (OPEN, text::encode(&mut out, &registry)),
    };
    done.expect("a string takes any text");
    Written { kind, bytes: out.into() }
}

const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One scrape.
#[derive(Debug)]
struct Scrape(Metrics);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result {
        let mut page = Sheet(encoder);
        self.process(&mut page)?;
        self.requests(&mut page)?;
        self.connections(&mut page)?;
        self.calls(&mut page)?;
        self.0.numbers.gossip.as_ref().map_or(Ok(()), |gossip| cluster(&mut page, gossip))
    }
}

impl Scrape {
    fn process(&self, page: &mut Sheet<'_>) -> Result {
        let Metrics { about, workers, silent, numbers, .. } = &self.0;
        let help = "The program that runs.";
        let mut info = page.0.encode_descriptor("pico_build", help, None, MetricType::Info)?;
        info.encode_info(&[("version", about.version), ("runtime", about.runtime)])?;
        let started = f64::from(u32::try_from(about.started_ms / 1_000).unwrap_or(u32::MAX));
        let help = "When the process started, in seconds since 1970.";
        let unit = Some(&Unit::Seconds);
        let name = "process_start_time";
        page.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&started)?;
        page.gauge("pico_ready", "1 while the node takes requests.", numbers.ready.into())?;
        page.gauge("pico_draining", "1 while the node stops.", numbers.draining.into())?;
        page.gauge("pico_workers", "Threads that carry requests.", (*workers).into())?;
        let help = "Workers that did not answer this scrape in time: their last counts stand.";
        page.gauge("pico_workers_silent", help, (*silent).into())?;
        let help = "Endpoints that are served somewhere in the cluster.";
        page.gauge("pico_endpoints", help, wide(numbers.endpoints))?;
        let help = "Endpoints that agents of this node serve.";
        page.gauge("pico_endpoints_here", help, wide(numbers.endpoints_here))
    }

    fn requests(&self, page: &mut Sheet<'_>) -> Result {
        let requests = &self.0.tally.requests;
        let help = "Requests of clients that came: answered, failed and in flight together.";
        page.counter("pico_requests_accepted", help, requests.accepted)?;
        let help = "Requests that a service answered in full.";
        page.counter("pico_requests_answered", help, requests.answered)?;
        let help = "Requests that ended otherwise, by the code of the reason.";
        page.by_code("pico_requests_failed", help, &requests.failed)?;
        let help = "Requests that are under way.";
        page.gauge("pico_requests_in_flight", help, requests.in_flight)?;
        let help = "Requests that are over, by the status of the response.";
        let statuses = requests.statuses.iter();
        let statuses = statuses.map(|(status, count)| {
            (status.map_or_else(|| "other".to_owned(), |status| status.to_string()), count)
        });
        page.counters("pico_responses", help, "status", statuses)?;
        let help = "From the end of a request's head to the head of its response.";
        page.times("pico_response_first_byte", help, &requests.first)?;
        let help = "From the end of a request's head to the end of its response.";
        page.times("pico_request_duration", help, &requests.whole)?;
        let help = "Bytes of request bodies that came from clients.";
        page.bytes("pico_request_body", help, requests.body_in)?;
        let help = "Bytes of response bodies that were sent to clients.";
        page.bytes("pico_response_body", help, requests.body_out)
    }

    fn connections(&self, page: &mut Sheet<'_>) -> Result {
        let tally = &self.0.tally;
        let ports = tally.ports.each();
        let help = "Connections that are open, by port; `link` are those dialled to other nodes.";
        page.gauges("pico_connections", help, "port", ports.map(|(of, port)| (of, port.open)))?;
        let help = "Connections that were accepted, or for `link` dialled.";
        let accepted = ports.map(|(of, port)| (of, port.accepted));
        page.counters("pico_connections_accepted", help, "port", accepted)?;
        let help = "Connections that were dropped because there were too many.";
        let dropped = ports.map(|(of, port)| (of, port.dropped));
        page.counters("pico_connections_dropped", help, "port", dropped)?;
        let unit = Some(&Unit::Bytes);
        let help = "Bytes that came, of whatever kind.";
        let received = ports.map(|(of, port)| (of, port.received));
        page.counters_of("pico_received", help, unit, "port", received)?;
        let help = "Bytes that sockets took, of whatever kind.";
        let sent = ports.map(|(of, port)| (of, port.sent));
        page.counters_of("pico_sent", help, unit, "port", sent)?;
        let help = "Connections and handshakes that were refused, by the code of the reason.";
        page.by_code("pico_refused", help, &tally.refused)?;
        page.gauge("pico_tunnels", "Tunnels of agents that serve.", tally.tunnels.serving)?;
        let help = "Tunnels of agents that came to serve.";
        page.counter("pico_tunnels_opened", help, tally.tunnels.opened)?;
        let help = "Tunnels of agents that ended, by the code of the reason.";
        page.by_code("pico_tunnels_closed", help, &tally.tunnels.closed)?;
        let links = tally.links;
        let states = [("up", links.up), ("dialing", links.dialing), ("avoided", links.avoided)];
        let help = "Links to other nodes; `avoided` are nodes to which one failed a moment ago.";
        page.gauges("pico_links", help, "state", states)?;
        page.counter("pico_links_opened", "Links that came up.", links.opened)?;
        page.counter("pico_links_lost", "Links that broke, or never came up.", links.lost)
    }

    fn calls(&self, page: &mut Sheet<'_>) -> Result {
        let (calls, relayed) = (self.0.tally.calls, self.0.tally.relayed);
        let help = "Calls that were begun: on tunnels of this node, or on links to others.";
        let begun = [("tunnel", calls.by_tunnel), ("link", calls.by_link)];
        page.counters("pico_calls", help, "via", begun)?;
        let help = "Calls that are under way, each a stream of its tunnel or link.";
        let streams = [("tunnel", calls.on_tunnels), ("link", calls.on_links)];
        page.gauges("pico_streams", help, "via", streams)?;
        page.counter("pico_retries", "Calls that were made a second time.", calls.retried)?;
        let help = "Times that a body had used up its credit before it was over.";
        page.counter("pico_credit_stalls", help, calls.stalls)?;
        let help = "Calls that other nodes forwarded here.";
        page.counter("pico_relayed_accepted", help, relayed.accepted)?;
        let help = "Calls forwarded here that were answered in full.";
        page.counter("pico_relayed_answered", help, relayed.answered)?;
        let help = "Calls forwarded here that were not.";
        page.counter("pico_relayed_failed", help, relayed.failed)?;
        let help = "Calls forwarded here that are under way.";
        page.gauge("pico_relayed_in_flight", help, relayed.in_flight)
    }
}

fn cluster(page: &mut Sheet<'_>, gossip: &GossipNumbers) -> Result {
    let GossipNumbers { counts, states, health, lag, .. } = gossip;
    let help = "Nodes that this one knows, itself included, by state.";
    let states = states.map(|(of, count)| (state(of), wide(count)));
    page.gauges("pico_cluster_nodes", help, "state", states)?;
    let help = "How little this node trusts its own eyes: 0 is well, 8 the worst.";
    page.gauge("pico_gossip_health", help, (*health).into())?;
    let help = "Other nodes' directories of which this node knows to lack something.";
    page.gauge("pico_gossip_behind_logs", help, wide(lag.logs))?;
    let help = "Changes of other nodes' directories that this node knows to lack.";
    page.gauge("pico_gossip_behind_changes", help, lag.ops)?;
    page.counter("pico_gossip_sent_datagrams", "Datagrams that were sent.", counts.sent)?;
    page.bytes("pico_gossip_sent", "Bytes of datagrams that were sent.", counts.sent_bytes)?;
    let help = "Datagrams that came and were listened to.";
    page.counter("pico_gossip_received_datagrams", help, counts.received)?;
    page.bytes("pico_gossip_received", "Bytes of these.", counts.received_bytes)?;
    let help = "Datagrams that were not listened to, or not to their end.";
    let rejected = [("strange", counts.strange), ("malformed", counts.malformed)];
    page.counters("pico_gossip_rejected", help, "reason", rejected)?;
    let help = "Nodes that this one found dead by itself.";
    page.counter("pico_gossip_deaths", help, counts.deaths)?;
    let help = "Suspicions that this node raised.";
    page.counter("pico_gossip_suspicions", help, counts.suspicions)?;
    let help = "Suspicions of this node that it refuted.";
    page.counter("pico_gossip_refuted", help, counts.refuted)
}

/// Where metrics are written.
struct Sheet<'a>(DescriptorEncoder<'a>);

impl Sheet<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            metric.encode_family(&[(label, of.as_ref())])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        count(metric, value)
    }

    fn bytes(&mut self, name: &str, help: &str, value: u64) -> Result {
        let unit = Some(&Unit::Bytes);
        count(self.0.encode_descriptor(name, help, unit, MetricType::Counter)?, value)
    }

    fn counters<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> Result {
        self.counters_of(name, help, None, label, values)
    }

    fn counters_of<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (of, value) in values {
            count(metric.encode_family(&[(label, of.as_ref())])?, value)?;
        }
        Ok(())
    }

    /// A counter for every reason there is, so that none appears only when it has happened.
    fn by_code(&mut self, name: &str, help: &str, cells: &ByReason) -> Result {
        let values = Reason::ALL.map(|reason| (reason.told().code, cells.get(reason)));
        self.counters(name, help, "code", values)
    }

    fn times(&mut self, name: &str, help: &str, times: &Histogram) -> Result {
        let unit = Some(&Unit::Seconds);
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        let bound = |bound: Option<std::time::Duration>| {
            bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64())
        };
        let cells: Vec<(f64, u64)> = times.iter().map(|(to, count)| (bound(to), count)).collect();
        let sum = times.sum_of_times().as_secs_f64();
        metric.encode_histogram::<NoLabelSet>(sum, times.count(), &cells, None)
    }
}

fn count(mut metric: MetricEncoder<'_>, value: u64) -> Result {
    metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
