#include "agent/client/http_reply.h"

#include <algorithm>
#include <cstring>

namespace broadside::agent {
namespace {

/// Interim replies before the real one; more is a peer that plays games.
constexpr int kMaxInterim = 16;
constexpr size_t kMaxChunkLine = 4096;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// `lower` is lower case and as long as `text`.
bool Same(std::string_view text, std::string_view lower) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (Lower(text[i]) != lower[i]) return false;
  }
  return true;
}

bool Equals(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && Same(text, lower);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Calls `each` with every element of a comma-separated header value.
template <class F>
void ForEachToken(std::string_view value, F each) {
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    each(Trim(value.substr(0, comma)));
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
}

/// Length of the header block in `data` with its empty line, or 0; looks from `from` on.
size_t HeadLength(const char* data, size_t n, size_t from) {
  // The terminator may have begun up to three bytes earlier.
  size_t at = from > 3 ? from - 3 : 0;
  while (at < n) {
    const auto* newline = static_cast<const char*>(std::memchr(data + at, '\n', n - at));
    if (newline == nullptr) return 0;
    const size_t next = static_cast<size_t>(newline - data) + 1;
    if (next < n && data[next] == '\n') return next + 1;
    if (next + 1 < n && data[next] == '\r' && data[next + 1] == '\n') return next + 2;
    at = next;
  }
  return 0;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool IsTokenChar(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u > 32 && u < 127 && std::strchr("\"(),/:;<=>?@[\\]{}", c) == nullptr;
}

}  // namespace

void ReplyParser::Start(bool head_request, size_t keep) {
  head_ = ReplyHead{};
  partial_head_.Clear();
  kept_.Clear();
  direct_ = {};
  error_ = {};
  body_bytes_ = left_ = 0;
  keep_ = keep;
  head_scanned_ = line_bytes_ = 0;
  interim_ = 0;
  http10_ = close_asked_ = keep_asked_ = transfer_coded_ = size_digit_ = started_ = false;
  line_empty_ = true;
  head_request_ = head_request;
  step_ = Step::kHead;
  result_ = State::kMore;
}

ReplyParser::State ReplyParser::Feed(const char* data, size_t n, size_t& used) {
  used = 0;
  if (n > 0) started_ = true;
  // A body in one piece was only looked at; before more comes, nothing may point into old data.
  direct_ = {};
  while (used < n && result_ == State::kMore) {
    const char* at = data + used;
    const size_t left = n - used;
    switch (step_) {
      case Step::kHead:
        used += FeedHead(at, left);
        break;
      case Step::kLength:
      case Step::kClose:
      case Step::kChunkData:
        used += FeedBody(at, left);
        break;
      case Step::kChunkSize:
      case Step::kChunkExtension:
        used += FeedChunkSize(at, left);
        break;
      case Step::kChunkEnd:
        used += FeedChunkEnd(at, left);
        break;
      case Step::kTrailer:
        used += FeedTrailer(at, left);
        break;
      case Step::kEnd:
        return result_;
    }
  }
  return result_;
}

bool ReplyParser::FinishAtClose() {
  if (result_ == State::kMore && step_ == Step::kClose) Finish();
  return result_ == State::kDone;
}

size_t ReplyParser::FeedHead(const char* data, size_t n) {
  if (partial_head_.empty()) {
    const size_t length = HeadLength(data, n, 0);
    if (length > limits_.header_bytes) return Fail("header block too large"), n;
    if (length > 0) {
      ParseHead({data, length});
      return length;
    }
  }
  const size_t before = partial_head_.size();
  const size_t room = limits_.header_bytes + 1 - std::min(before, limits_.header_bytes + 1);
  const size_t take = std::min(n, room);
  partial_head_.Append(data, take);
  const size_t length = HeadLength(partial_head_.data(), partial_head_.size(), head_scanned_);
  head_scanned_ = partial_head_.size();
  if (length == 0) {
    if (partial_head_.size() > limits_.header_bytes) Fail("header block too large");
    // A peer that does not speak HTTP should not be listened to for 64 KiB.
    const size_t seen = std::min<size_t>(partial_head_.size(), 7);
    if (std::memcmp(partial_head_.data(), "HTTP/1.", seen) != 0) Fail("not an HTTP/1 reply");
    return take;
  }
  ParseHead({partial_head_.data(), length});
  partial_head_.Clear();
  head_scanned_ = 0;
  return length - before;
}

void ReplyParser::ParseHead(std::string_view block) {
  head_ = ReplyHead{};
  close_asked_ = keep_asked_ = transfer_coded_ = false;
  bool first = true;
  while (!block.empty()) {
    const size_t newline = block.find('\n');
    std::string_view line = block.substr(0, newline);
    block.remove_prefix(newline + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (first) {
      if (!ParseStatusLine(line)) return Fail("not an HTTP/1 reply");
      first = false;
      continue;
    }
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return Fail("malformed header line");
    const std::string_view name = line.substr(0, colon);
    if (!IsTokenChar(name.front()) || !IsTokenChar(name.back())) {
      return Fail("malformed header name");
    }
    if (!ParseHeader(name, Trim(line.substr(colon + 1)))) return;
  }
  EndOfHead();
}

bool ReplyParser::ParseStatusLine(std::string_view line) {
  if (line.size() < 12 || line.substr(0, 7) != "HTTP/1." || line[8] != ' ') return false;
  if (line[7] != '0' && line[7] != '1') return false;
  http10_ = line[7] == '0';
  for (size_t i = 9; i < 12; ++i) {
    if (line[i] < '0' || line[i] > '9') return false;
    head_.status = head_.status * 10 + (line[i] - '0');
  }
  return head_.status >= 100 && (line.size() == 12 || line[12] == ' ');
}

bool ReplyParser::ParseLength(std::string_view value, int64_t& out) {
  if (value.empty() || value.size() > 18) return false;
  int64_t number = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + (c - '0');
  }
  if (out >= 0 && out != number) return false;
  out = number;
  return true;
}

bool ReplyParser::ParseHeader(std::string_view name, std::string_view value) {
  switch (name.size()) {
    case 6:
      if (Same(name, "server")) {
        head_.from_envoy = Equals(value, "envoy") || Equals(value, "istio-envoy");
      }
      break;
    case 10:
      if (Same(name, "connection")) {
        ForEachToken(value, [this](std::string_view token) {
          close_asked_ |= Equals(token, "close");
          keep_asked_ |= Equals(token, "keep-alive");
        });
      }
      break;
    case 14:
      if (Same(name, "content-length") && !ParseLength(value, head_.content_length)) {
        return Fail("malformed Content-Length"), false;
      }
      break;
    case 16:
      if (Same(name, "content-encoding")) head_.encoded = !Equals(value, "identity");
      break;
    case 17:
      if (Same(name, "transfer-encoding")) {
        transfer_coded_ = true;
        // Only the last coding frames the body.
        ForEachToken(value, [this](std::string_view token) {
          head_.chunked = Equals(token, "chunked");
          head_.encoded |= !head_.chunked && !Equals(token, "identity");
        });
      }
      break;
    case 18:
      if (Same(name, "x-envoy-overloaded")) head_.envoy_overloaded = true;
      break;
    case 19:
      if (Same(name, "x-envoy-ratelimited")) head_.envoy_ratelimited = true;
      break;
    case 29:
      if (Same(name, "x-envoy-upstream-service-time")) head_.envoy_upstream_time = true;
      break;
    case 31:
      if (Same(name, "inference-header-content-length") &&
          !ParseLength(value, head_.inference_header_length)) {
        return Fail("malformed Inference-Header-Content-Length"), false;
      }
      break;
    default:
      break;
  }
  return true;
}

void ReplyParser::EndOfHead() {
  if (head_.status < 200) {
    if (head_.status == 101) return Fail("unasked-for protocol upgrade");
    if (++interim_ > kMaxInterim) return Fail("too many interim replies");
    return;  // the next header block is looked for
  }
  head_.keep_alive = !close_asked_ && (!http10_ || keep_asked_);
  if (head_request_ || head_.status == 204 || head_.status == 304) return Finish();
  if (transfer_coded_) {
    // A length beside a transfer coding is ignored, but such a peer is not trusted with more.
    if (head_.content_length >= 0) head_.keep_alive = false;
    head_.content_length = -1;
    step_ = head_.chunked ? Step::kChunkSize : Step::kClose;
  } else if (head_.content_length >= 0) {
    if (static_cast<uint64_t>(head_.content_length) > limits_.body_bytes) {
      return Fail("body too large");
    }
    left_ = static_cast<uint64_t>(head_.content_length);
    if (left_ == 0) return Finish();
    step_ = Step::kLength;
  } else {
    step_ = Step::kClose;
  }
  if (step_ == Step::kClose) head_.keep_alive = false;
}

void ReplyParser::Keep(const char* data, size_t n) {
  body_bytes_ += n;
  if (kept_.size() < keep_) kept_.Append(data, std::min(n, keep_ - kept_.size()));
}

size_t ReplyParser::FeedBody(const char* data, size_t n) {
  if (step_ == Step::kClose) {
    if (body_bytes_ + n > limits_.body_bytes) return Fail("body too large"), n;
    Keep(data, n);
    return n;
  }
  const auto take = static_cast<size_t>(std::min<uint64_t>(n, left_));
  left_ -= take;
  if (step_ == Step::kLength && left_ == 0 && body_bytes_ == 0) {
    body_bytes_ = take;
    direct_ = {data, std::min(take, keep_)};
  } else {
    Keep(data, take);
  }
  if (left_ == 0) {
    if (step_ == Step::kLength) {
      Finish();
    } else {
      step_ = Step::kChunkEnd;
      line_bytes_ = 0;
    }
  }
  return take;
}

size_t ReplyParser::FeedChunkSize(const char* data, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const char c = data[i];
    if (++line_bytes_ > kMaxChunkLine) return Fail("chunk line too long"), i;
    if (c == '\n') {
      if (!size_digit_) return Fail("malformed chunk size"), i;
      size_digit_ = false;
      line_bytes_ = 0;
      line_empty_ = true;
      step_ = left_ > 0 ? Step::kChunkData : Step::kTrailer;
      if (body_bytes_ + left_ > limits_.body_bytes) Fail("body too large");
      return i + 1;
    }
    if (step_ == Step::kChunkExtension) continue;
    const int digit = HexDigit(c);
    if (digit >= 0) {
      size_digit_ = true;
      left_ = left_ * 16 + static_cast<uint64_t>(digit);
      if (left_ > limits_.body_bytes) return Fail("body too large"), i;
    } else if (size_digit_ && (c == ';' || c == '\r' || c == ' ' || c == '\t')) {
      step_ = Step::kChunkExtension;
    } else {
      return Fail("malformed chunk size"), i;
    }
  }
  return n;
}

size_t ReplyParser::FeedChunkEnd(const char* data, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (data[i] == '\n') {
      step_ = Step::kChunkSize;
      left_ = 0;
      line_bytes_ = 0;
      return i + 1;
    }
    if (data[i] != '\r' || ++line_bytes_ > 1) return Fail("malformed chunk end"), i;
  }
  return n;
}

size_t ReplyParser::FeedTrailer(const char* data, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (++line_bytes_ > limits_.header_bytes) return Fail("trailers too large"), i;
    if (data[i] == '\n') {
      if (line_empty_) return Finish(), i + 1;
      line_empty_ = true;
    } else if (data[i] != '\r') {
      line_empty_ = false;
    }
  }
  return n;
}

}  // namespace broadside::agent
