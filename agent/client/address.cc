#include "agent/client/address.h"

#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "common/time/clock.h"

namespace broadside::agent {
namespace {

/// A probe that hangs must not use up the time of the others.
constexpr Nanos kProbeMost = std::chrono::milliseconds(500);

bool TakesConnections(const Address& address, Instant deadline) {
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  bool taken =
      connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0;
  if (!taken && errno == EINPROGRESS) {
    const Nanos left = std::min<Nanos>(deadline - SystemClock().Now(), kProbeMost);
    pollfd entry{fd, POLLOUT, 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    int error = 0;
    socklen_t size = sizeof(error);
    taken = poll(&entry, 1, static_cast<int>(std::max<int64_t>(0, ms))) > 0 &&
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  }
  close(fd);
  return taken;
}

}  // namespace

StatusOr<std::vector<Address>> ResolveHost(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error != 0) return Unavailable("cannot resolve \"" + host + "\": " + gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  std::vector<Address> all;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    Address address;
    std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    address.length = at->ai_addrlen;
    all.push_back(address);
  }
  return all;
}

std::vector<Address> TakingAddresses(const std::vector<Address>& all, Instant deadline) {
  if (all.size() <= 1) return all;
  std::vector<Address> taking;
  for (const Address& address : all) {
    // "localhost" is often [::1] and 127.0.0.1, with a server on one of them.
    const bool other_family =
        !taking.empty() && taking[0].storage.ss_family != address.storage.ss_family;
    if (!other_family && TakesConnections(address, deadline)) taking.push_back(address);
  }
  if (taking.empty()) taking.push_back(all[0]);
  return taking;
}

StatusOr<std::vector<Address>> Resolver::Resolve(const std::string& host, uint16_t port) {
  const std::pair<std::string, uint16_t> name(host, port);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(name); found != known_.end()) return found->second;
  }
  // Not under the lock: it may take long.
  BROADSIDE_ASSIGN_OR_RETURN(std::vector<Address> addresses, ResolveHost(host, port));
  if (allow_) BROADSIDE_RETURN_IF_ERROR(allow_(host, port, addresses));
  const std::lock_guard lock(mutex_);
  return known_.try_emplace(name, std::move(addresses)).first->second;
}

}  // namespace broadside::agent
