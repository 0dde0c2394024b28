#include "agent/workload/request_text.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace broadside::agent {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool SameName(std::string_view name, std::string_view lower) {
  return name.size() == lower.size() && std::equal(name.begin(), name.end(), lower.begin(),
                                                   [](char a, char b) { return Lower(a) == b; });
}

bool OneLine(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return (u < 32 && c != '\t') || u == 127;
  });
}

bool IsToken(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u > 32 && u < 127 &&
           std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
  });
}

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

std::string PercentEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
        std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[u >> 4];
      out += kHex[u & 15];
    }
  }
  return out;
}

/// One value with its ${secret:…} replaced.
StatusOr<std::string> ResolveValue(const plan::Header& header, const SecretReader& secret,
                                   const std::string& where) {
  constexpr std::string_view kOpen = "${secret:";
  std::string out;
  std::string_view rest = header.value;
  for (size_t at; (at = rest.find(kOpen)) != std::string_view::npos;) {
    out += rest.substr(0, at);
    rest.remove_prefix(at + kOpen.size());
    const size_t end = rest.find('}');
    if (end == std::string_view::npos) {
      return InvalidArgument(where + "\"${secret:\" without \"}\"; write ${secret:NAME}");
    }
    const std::string name(rest.substr(0, end));
    rest.remove_prefix(end + 1);
    if (!secret) {
      return FailedPrecondition(where + "needs the secret \"" + name +
                                "\", and this agent was given none; start it with --secrets DIR");
    }
    BROADSIDE_ASSIGN_OR_RETURN(std::string value, secret(name));
    // Files end with a newline that nobody means.
    while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
    if (!OneLine(value)) {
      return InvalidArgument(where + "the secret \"" + name +
                             "\" has control characters; a header holds one line of text");
    }
    out += value;
  }
  out += rest;
  return out;
}

}  // namespace

bool HasHeader(const std::vector<plan::Header>& headers, std::string_view lower_name) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const plan::Header& header) { return SameName(header.name, lower_name); });
}

StatusOr<std::vector<plan::Header>> ResolveHeaders(const std::vector<plan::Header>& headers,
                                                   const SecretReader& secret,
                                                   const std::string& target_name) {
  std::vector<plan::Header> out;
  for (const plan::Header& header : headers) {
    const std::string where = "target \"" + target_name + "\": header \"" + header.name + "\": ";
    if (!IsToken(header.name)) return InvalidArgument(where + "is not a header name");
    for (const char* framing : {"content-length", "transfer-encoding"}) {
      if (SameName(header.name, framing)) {
        return InvalidArgument(where + "is set from the body; remove it");
      }
    }
    if (!OneLine(header.value)) return InvalidArgument(where + "must be one line of text");
    BROADSIDE_ASSIGN_OR_RETURN(std::string value, ResolveValue(header, secret, where));
    out.push_back({header.name, std::move(value)});
  }
  return out;
}

StatusOr<PreparedRequest> AssembleRequest(RequestText text, const std::string& target_name) {
  const std::string& path = text.url.path;
  if (!IsToken(text.method)) {
    return InvalidArgument("target \"" + target_name + "\": \"" + text.method +
                           "\" is not a method; write GET, POST …");
  }
  if (!OneLine(path) || path.find(' ') != std::string::npos) {
    return InvalidArgument("target \"" + target_name +
                           "\": the URL's path has spaces or control characters; write %20");
  }
  PreparedRequest request;
  request.head = text.method == "HEAD";
  std::string& out = request.bytes;
  out.reserve(256 + text.body.size());
  out.append(text.method).append(" ").append(path.empty() ? "/" : path).append(" HTTP/1.1\r\n");
  if (!HasHeader(text.headers, "host")) AppendHeader(out, "Host", text.url.HostPort());
  for (const plan::Header& header : text.headers) AppendHeader(out, header.name, header.value);
  for (const plan::Header& header : text.added) {
    std::string lower(header.name);
    std::transform(lower.begin(), lower.end(), lower.begin(), Lower);
    if (!HasHeader(text.headers, lower)) AppendHeader(out, header.name, header.value);
  }
  if (text.close && !HasHeader(text.headers, "connection")) {
    AppendHeader(out, "Connection", "close");
  }
  const bool has_body_method =
      text.method == "POST" || text.method == "PUT" || text.method == "PATCH";
  if (!text.body.empty() || has_body_method) {
    AppendHeader(out, "Content-Length", std::to_string(text.body.size()));
  }
  request.stamp_at = out.size();
  out.append("\r\n").append(text.body);
  return request;
}

StatusOr<Endpoint> DialledEndpoint(const plan::Target& target, const plan::Url& url) {
  if (url.scheme != "http") {
    return Unimplemented("target \"" + target.name + "\": \"" + url.scheme +
                         "\" is not in this version yet; use an http:// URL");
  }
  Endpoint endpoint{url.host, url.port, false, ""};
  if (target.connect_to.empty()) return endpoint;
  const std::string& to = target.connect_to;
  const size_t colon = to.rfind(':');
  uint16_t port = 0;
  bool good = colon != std::string::npos && colon > 0;
  if (good) {
    const char* end = to.data() + to.size();
    const auto [stop, error] = std::from_chars(to.data() + colon + 1, end, port);
    good = error == std::errc() && stop == end && port != 0;
  }
  if (!good) {
    return InvalidArgument("target \"" + target.name + "\": connect_to: \"" + to +
                           "\" is not HOST:PORT");
  }
  endpoint.host = to.substr(0, colon);
  if (endpoint.host.size() > 2 && endpoint.host.front() == '[' && endpoint.host.back() == ']') {
    endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
  }
  endpoint.port = port;
  return endpoint;
}

StatusOr<std::string> KserveModelPath(const plan::Target& target) {
  if (!target.endpoint) {
    return InvalidArgument("target \"" + target.name +
                           "\" has no URL; write url: http://HOST:PORT");
  }
  std::string path = target.endpoint->path;
  constexpr std::string_view kInfer = "/infer";
  if (path.size() > kInfer.size() && path.ends_with(kInfer)) {
    return path.substr(0, path.size() - kInfer.size());
  }
  while (!path.empty() && path.back() == '/') path.pop_back();
  if (target.model.empty()) {
    return InvalidArgument("target \"" + target.name +
                           "\" has no model; write model: NAME, or a URL that ends in /infer");
  }
  path += "/v2/models/" + PercentEncode(target.model);
  if (!target.model_version.empty()) path += "/versions/" + PercentEncode(target.model_version);
  return path;
}

}  // namespace broadside::agent
