#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/client/address.h"
#include "common/base/status.h"

namespace broadside::agent {

/// Which hosts an agent may fire at, whatever the controller says. Entries are HOST, IP or CIDR,
/// each with an optional :PORT or :PORT-PORT ("10.0.0.0/8", "triton.lab:8000-8001",
/// "[fd00::]/8:443").
class AllowList {
 public:
  /// No entries: loopback only. Errors name the entry.
  static StatusOr<AllowList> Make(const std::vector<std::string>& entries);
  /// OK when an entry names `host` itself, or every one of its `addresses` lies in one. The error
  /// says what is allowed.
  Status Check(const std::string& host, uint16_t port, const std::vector<Address>& addresses) const;

 private:
  using Ip = std::array<uint8_t, 16>;  ///< v6, or v4 mapped into it
  struct Item {
    std::string host;  ///< lower case; empty for networks
    Ip network{};
    int bits = 128;
    uint16_t first_port = 0;
    uint16_t last_port = 65535;
  };
  static StatusOr<Item> ParseItem(const std::string& entry);
  bool Allows(const Ip& ip, uint16_t port) const;
  std::vector<Item> items_;
  std::string text_;
};

}  // namespace broadside::agent
