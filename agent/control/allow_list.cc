#include "agent/control/allow_list.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

namespace broadside::agent {
namespace {

using Ip = std::array<uint8_t, 16>;

std::optional<Ip> ParseIp(const std::string& text, bool& v4) {
  Ip out{};
  v4 = inet_pton(AF_INET, text.c_str(), out.data() + 12) == 1;
  if (v4) {
    out[10] = out[11] = 0xff;
    return out;
  }
  if (inet_pton(AF_INET6, text.c_str(), out.data()) == 1) return out;
  return std::nullopt;
}

std::optional<Ip> IpOf(const Address& address) {
  Ip out{};
  if (address.storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.storage);
    out[10] = out[11] = 0xff;
    std::memcpy(out.data() + 12, &v4.sin_addr, 4);
    return out;
  }
  if (address.storage.ss_family != AF_INET6) return std::nullopt;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
  std::memcpy(out.data(), &v6.sin6_addr, 16);
  return out;
}

bool ParseNumber(const std::string& text, int max, int& out) {
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && rest == text.data() + text.size() && out >= 0 && out <= max;
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// Cuts ":PORT" or ":PORT-PORT" off `text`; leaves plain IPv6 addresses alone.
bool CutPorts(std::string& text, int& first, int& last) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || text.find(']', colon) != std::string::npos) return true;
  const bool bracketed = text.front() == '[';
  if (!bracketed && text.find(':') != colon) return true;  // IPv6 without brackets has no port
  const std::string ports = text.substr(colon + 1);
  text.resize(colon);
  const size_t dash = ports.find('-');
  if (dash == std::string::npos) {
    if (!ParseNumber(ports, 65535, first)) return false;
    last = first;
    return true;
  }
  return ParseNumber(ports.substr(0, dash), 65535, first) &&
         ParseNumber(ports.substr(dash + 1), 65535, last) && first <= last;
}

}  // namespace

StatusOr<AllowList::Item> AllowList::ParseItem(const std::string& entry) {
  const auto bad = [&entry] {
    return InvalidArgument(
        "--allow \"" + entry +
        "\" is not HOST, IP or CIDR with an optional :PORT or :PORT-PORT. Write 10.0.0.0/8, "
        "triton.lab:8000-8001 or [fd00::]/8");
  };
  std::string text = entry;
  if (text.empty()) return bad();
  int first = 0, last = 65535, bits = -1;
  if (!CutPorts(text, first, last)) return bad();
  if (const size_t slash = text.find('/'); slash != std::string::npos) {
    if (!ParseNumber(text.substr(slash + 1), 128, bits)) return bad();
    text.resize(slash);
  }
  if (text.size() > 2 && text.front() == '[' && text.back() == ']')
    text = text.substr(1, text.size() - 2);
  Item item{.first_port = static_cast<uint16_t>(first), .last_port = static_cast<uint16_t>(last)};
  bool v4 = false;
  if (const auto ip = ParseIp(text, v4)) {
    if (v4 && bits > 32) return bad();
    item.network = *ip;
    item.bits = bits < 0 ? 128 : v4 ? 96 + bits : bits;
    return item;
  }
  if (bits >= 0 || text.empty() || text.find_first_of("/[]: ") != std::string::npos) return bad();
  item.host = Lower(text);
  return item;
}

StatusOr<AllowList> AllowList::Make(const std::vector<std::string>& entries) {
  AllowList out;
  const std::vector<std::string> all =
      entries.empty() ? std::vector<std::string>{"127.0.0.0/8", "::1"} : entries;
  for (const std::string& entry : all) {
    BROADSIDE_ASSIGN_OR_RETURN(Item item, ParseItem(entry));
    out.items_.push_back(std::move(item));
    out.text_ += (out.text_.empty() ? "" : ", ") + entry;
  }
  return out;
}

bool AllowList::Allows(const Ip& ip, uint16_t port) const {
  return std::any_of(items_.begin(), items_.end(), [&](const Item& item) {
    if (!item.host.empty() || port < item.first_port || port > item.last_port) return false;
    const int whole = item.bits / 8;
    if (!std::equal(ip.begin(), ip.begin() + whole, item.network.begin())) return false;
    if (item.bits % 8 == 0) return true;
    const uint8_t mask = static_cast<uint8_t>(0xff << (8 - item.bits % 8));
    const size_t at = static_cast<size_t>(whole);
    return (ip[at] & mask) == (item.network[at] & mask);
  });
}

Status AllowList::Check(const std::string& host, uint16_t port,
                        const std::vector<Address>& addresses) const {
  const std::string name = Lower(host);
  for (const Item& item : items_)
    if (item.host == name && port >= item.first_port && port <= item.last_port)
      return absl::OkStatus();
  const bool all = std::all_of(addresses.begin(), addresses.end(), [&](const Address& address) {
    const std::optional<Ip> ip = IpOf(address);
    return ip && Allows(*ip, port);
  });
  if (all && !addresses.empty()) return absl::OkStatus();
  const std::string target = host + ":" + std::to_string(port);
  return PermissionDenied("target " + target + " is not in its allow list (" + text_ +
                          "); start the agent with --allow " + target + " if it may be fired at");
}

}  // namespace broadside::agent
