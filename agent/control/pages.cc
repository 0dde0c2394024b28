#include "agent/control/pages.h"

#include "common/rpc/exposition.h"
#include "common/rpc/process_metrics.h"

namespace broadside::agent {
namespace {

std::string Metrics(const Agent& agent) {
  const Agent::Health health = agent.health();
  rpc::Exposition out;
  out.Gauge({"broadside_agent_connected", "1 while the stream to the controller is up."}, {},
            health.connected);
  out.Gauge(
      {"broadside_agent_outbox_bytes", "Snapshots kept until the controller has stored them."}, {},
      static_cast<double>(health.outbox_bytes));
  out.Counter(
      {"broadside_agent_outbox_dropped_total", "Snapshots whose histograms a full outbox let go."},
      {}, static_cast<double>(health.outbox_dropped));
  out.Gauge({"broadside_agent_clock_bound_seconds",
             "Bound of the map from this clock to the controller's."},
            {}, static_cast<double>(health.clock_bound_ns) * 1e-9);
  rpc::AddProcessMetrics(rpc::ReadProcessStats(), out);
  return out.Text();
}

}  // namespace

rpc::HttpHandler MakePages(const Agent& agent) {
  const auto metrics = [&agent](const rpc::HttpRequest&) {
    return rpc::HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                             .body = Metrics(agent),
                             .headers = {}};
  };
  const auto alive = [](const rpc::HttpRequest&) {
    return rpc::HttpResponse{.body = "ok\n", .headers = {}};
  };
  const auto ready = [&agent](const rpc::HttpRequest&) {
    const Agent::Health health = agent.health();
    return rpc::HttpResponse{
        .status = health.connected ? 200 : 503, .body = health.status + "\n", .headers = {}};
  };
  return rpc::ServePaths({{"/metrics", metrics}, {"/healthz", alive}, {"/readyz", ready}});
}

}  // namespace broadside::agent
