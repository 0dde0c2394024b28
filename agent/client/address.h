#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/time/time.h"

namespace broadside::agent {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

/// Every address of a name, in the order of the system's resolver; blocks for as long as that does.
StatusOr<std::vector<Address>> ResolveHost(const std::string& host, uint16_t port);

/// Those to use of a name's addresses: the ones of the first family that takes a connection now;
/// the first of all if none does (what follows from that is what the run will measure). Blocks,
/// trying until `deadline`.
std::vector<Address> TakingAddresses(const std::vector<Address>& all, Instant deadline);

/// Resolves each host and port once, so that the addresses that were checked are the ones that are
/// used: a moment later the name may mean another host. Any thread; errors are not remembered.
class Resolver {
 public:
  /// May these addresses of the host be used?
  using Allow = std::function<Status(const std::string& host, uint16_t port,
                                     const std::vector<Address>& addresses)>;
  explicit Resolver(Allow allow = nullptr) : allow_(std::move(allow)) {}

  StatusOr<std::vector<Address>> Resolve(const std::string& host, uint16_t port);

 private:
  const Allow allow_;
  std::mutex mutex_;
  std::map<std::pair<std::string, uint16_t>, std::vector<Address>> known_;
};

}  // namespace broadside::agent
