#include "tests/target/http.h"

#include <algorithm>
#include <charconv>

namespace broadside::target {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 302:
      return "Found";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Not Allowed";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return Lower(x) == Lower(y); });
}

std::string_view Request::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoreCase(key, name)) return value;
  }
  return {};
}

std::string_view Request::Query(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name) return pair.substr(std::min(equals + 1, pair.size()));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

RequestReader::State RequestReader::Bad(std::string what) {
  error_ = std::move(what);
  return State::kBad;
}

// The views of the head stay good while the body grows only if the buffer does not move: ParseHead
// therefore runs again when the request is complete.
RequestReader::State RequestReader::Next() {
  if (head_size_ == 0) {
    const size_t end = buffer_.find("\r\n\r\n", scanned_ > 3 ? scanned_ - 3 : 0);
    if (end == std::string::npos) {
      scanned_ = buffer_.size();
      return buffer_.size() > kMaxHead ? Bad("request head above 64 KiB") : State::kMore;
    }
    head_size_ = end + 4;
    if (!ParseHead(end)) return Bad("malformed request head");
    chunk_pos_ = head_size_;
    if (!chunked_ && body_size_ > kMaxBody) return Bad("request body above 64 MiB");
    if (!chunked_) buffer_.reserve(head_size_ + body_size_);
    wants_continue_ = EqualsIgnoreCase(request_.Header("expect"), "100-continue");
  }
  if (chunked_) {
    const State state = ParseChunks();
    if (state != State::kReady) return state;
    ParseHead(head_size_ - 4);
    request_.body = chunked_body_;
    return State::kReady;
  }
  if (buffer_.size() < head_size_ + body_size_) {
    return std::exchange(wants_continue_, false) ? State::kContinue : State::kMore;
  }
  ParseHead(head_size_ - 4);
  total_ = head_size_ + body_size_;
  request_.body = std::string_view(buffer_).substr(head_size_, body_size_);
  return State::kReady;
}

bool RequestReader::ParseHead(size_t head_end) {
  request_ = Request();
  chunked_ = false;
  body_size_ = 0;
  std::string_view head = std::string_view(buffer_).substr(0, head_end);
  const size_t line_end = std::min(head.find("\r\n"), head.size());
  const std::string_view line = head.substr(0, line_end);
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return false;
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
  request_.keep_alive = version == "HTTP/1.1";
  request_.method = line.substr(0, first);
  const std::string_view uri = line.substr(first + 1, last - first - 1);
  const size_t question = std::min(uri.find('?'), uri.size());
  request_.path = uri.substr(0, question);
  request_.query = uri.substr(std::min(question + 1, uri.size()));
  head.remove_prefix(std::min(line_end + 2, head.size()));
  while (!head.empty()) {
    const size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view header = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    const size_t colon = header.find(':');
    if (colon == std::string_view::npos || colon == 0) return false;
    const std::string_view name = header.substr(0, colon);
    const std::string_view value = Trim(header.substr(colon + 1));
    request_.headers.emplace_back(name, value);
    if (EqualsIgnoreCase(name, "content-length")) {
      const auto [end_of, error] =
          std::from_chars(value.data(), value.data() + value.size(), body_size_);
      if (error != std::errc() || end_of != value.data() + value.size()) return false;
    } else if (EqualsIgnoreCase(name, "transfer-encoding")) {
      chunked_ = EqualsIgnoreCase(value, "chunked");
      if (!chunked_) return false;
    } else if (EqualsIgnoreCase(name, "connection")) {
      if (EqualsIgnoreCase(value, "close")) request_.keep_alive = false;
      if (EqualsIgnoreCase(value, "keep-alive")) request_.keep_alive = true;
    }
  }
  return true;
}

RequestReader::State RequestReader::ParseChunks() {
  while (true) {
    const size_t line_end = buffer_.find("\r\n", chunk_pos_);
    if (line_end == std::string::npos) {
      if (buffer_.size() - chunk_pos_ > 1024) return Bad("malformed chunk size");
      return std::exchange(wants_continue_, false) ? State::kContinue : State::kMore;
    }
    size_t size = 0;
    const char* from = buffer_.data() + chunk_pos_;
    const auto [end_of, error] = std::from_chars(from, buffer_.data() + line_end, size, 16);
    if (error != std::errc() || end_of == from) return Bad("malformed chunk size");
    if (size > kMaxBody || chunked_body_.size() + size > kMaxBody) {
      return Bad("request body above 64 MiB");
    }
    // No trailers are read: a client of this server sends none.
    if (buffer_.size() < line_end + 2 + size + 2) return State::kMore;
    chunked_body_.append(buffer_, line_end + 2, size);
    chunk_pos_ = line_end + 2 + size + 2;
    if (size == 0) {
      total_ = chunk_pos_;
      return State::kReady;
    }
  }
}

void RequestReader::Consume() {
  buffer_.erase(0, total_);
  chunked_body_.clear();
  head_size_ = scanned_ = total_ = 0;
}

std::string WireReply(int status, std::string_view content_type, std::string_view body,
                      std::string_view more_headers) {
  std::string out = "HTTP/1.1 ";
  out.reserve(160 + more_headers.size() + body.size());
  out += std::to_string(status);
  out += ' ';
  out += Reason(status);
  out += "\r\n";
  if (!content_type.empty()) {
    out += "Content-Type: ";
    out += content_type;
    out += "\r\n";
  }
  out += more_headers;
  out += "Content-Length: ";
  out += std::to_string(body.size());
  out += "\r\n\r\n";
  out += body;
  return out;
}

std::string ChunkedReply(int status, std::string_view content_type, std::string_view body,
                         size_t chunk) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + std::string(Reason(status)) +
                    "\r\nContent-Type: " + std::string(content_type) +
                    "\r\nTransfer-Encoding: chunked\r\n\r\n";
  while (!body.empty()) {
    const std::string_view piece = body.substr(0, chunk);
    char size[24];
    const auto written = std::to_chars(size, size + sizeof(size), piece.size(), 16);
    out.append(size, written.ptr);
    out += "\r\n";
    out += piece;
    out += "\r\n";
    body.remove_prefix(piece.size());
  }
  return out + "0\r\n\r\n";
}

}  // namespace broadside::target
