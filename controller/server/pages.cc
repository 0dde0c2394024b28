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
  return rpc::ServePaths({{"/metrics", metrics}, {"/healthz", alive}, {"/readyz", alive}});
}

}  // namespace broadside::controller
