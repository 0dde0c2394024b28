#include <charconv>

#include "common/rpc/http_server.h"

namespace broadside::rpc {

StatusOr<HostPort> ParseHostPort(const std::string& text, const std::string& flag) {
  const Status error = InvalidArgument(flag + ": \"" + text +
                                       "\" is not HOST:PORT. Write, say, lab:7300 or [::1]:7300.");
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return error;
  HostPort result;
  result.host = text.substr(0, colon);
  if (result.host.front() == '[' && result.host.back() == ']') {
    result.host = result.host.substr(1, result.host.size() - 2);
  } else if (result.host.find_first_of(":[]") != std::string::npos) {
    return error;
  }
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data() + colon + 1, end, result.port);
  if (result.host.empty() || code != std::errc() || stop != end) return error;
  return result;
}

}  // namespace broadside::rpc
