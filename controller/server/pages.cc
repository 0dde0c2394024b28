#include "controller/server/pages.h"

namespace broadside::controller {

rpc::HttpHandler MakePages(const Shell& shell) {
  const auto metrics = [&shell](const rpc::HttpRequest&) {
    return rpc::HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                             .body = shell.MetricsText(),
                             .headers = {}};
  };
  const auto alive = [](const rpc::HttpRequest&) {
    return rpc::HttpResponse{.body = "ok\n", .headers = {}};
  };
  const auto ready = [&shell](const rpc::HttpRequest&) {
    const Status store = shell.StoreHealth();
    return rpc::HttpResponse{.status = store.ok() ? 200 : 503,
                             .body = (store.ok() ? "ok" : MessageOf(store)) + "\n",
                             .headers = {}};
  };
  return rpc::ServePaths({{"/metrics", metrics}, {"/healthz", alive}, {"/readyz", ready}});
}

}  // namespace broadside::controller
