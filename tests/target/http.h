#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace broadside::target {

/// One request as it came. Views point into the reader's buffer and are good until Consume.
struct Request {
  std::string_view method;
  std::string_view path;   ///< without the query
  std::string_view query;  ///< without the "?"
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::string_view body;
  bool keep_alive = true;
  /// Empty when there is no such header; names are compared without regard to case.
  std::string_view Header(std::string_view name) const;
  /// Value of `name` in the query, or empty.
  std::string_view Query(std::string_view name) const;
};

/// Cuts a byte stream into HTTP/1.1 requests (Content-Length and chunked bodies). One thread.
class RequestReader {
 public:
  enum class State : uint8_t {
    kMore,      ///< no complete request yet
    kContinue,  ///< like kMore, and the client waits for "100 Continue"; said once a request
    kReady,     ///< request() is complete
    kBad,       ///< not HTTP, or larger than the limits; error() says which
  };
  static constexpr size_t kMaxHead = 64 * 1024;
  static constexpr size_t kMaxBody = 64 * 1024 * 1024;

  void Append(const char* bytes, size_t size) { buffer_.append(bytes, size); }
  State Next();
  const Request& request() const { return request_; }
  const std::string& error() const { return error_; }
  /// Forgets the ready request; what came behind it stays.
  void Consume();
  size_t buffered() const { return buffer_.size(); }

 private:
  bool ParseHead(size_t head_end);
  State ParseChunks();
  State Bad(std::string what);

  std::string buffer_;
  std::string chunked_body_;
  std::string error_;
  Request request_;
  size_t head_size_ = 0;  // 0: the head is not complete yet
  size_t scanned_ = 0;
  size_t body_size_ = 0;
  size_t chunk_pos_ = 0;  // of the next chunk's size line
  size_t total_ = 0;      // bytes of the ready request
  bool chunked_ = false;
  bool wants_continue_ = false;
};

/// What goes back, and what happens to the connection.
struct Reply {
  enum class Ending : uint8_t {
    kKeep,   ///< the connection goes on
    kClose,  ///< FIN after the last byte
    kReset,  ///< RST after the last byte
    kHang,   ///< nothing more ever comes
  };
  int status = 200;   ///< for the log; 0 where no complete reply leaves
  std::string bytes;  ///< head and body as sent
  Ending ending = Ending::kKeep;
  size_t trickle_bytes = 0;  ///< 0: at once; else this many bytes every `trickle_gap_ns`
  int64_t trickle_gap_ns = 0;
};

/// "HTTP/1.1 503 Service Unavailable\r\n" + headers + Content-Length + body.
std::string WireReply(int status, std::string_view content_type, std::string_view body,
                      std::string_view more_headers = {});
/// The same body in chunks of at most `chunk` bytes.
std::string ChunkedReply(int status, std::string_view content_type, std::string_view body,
                         size_t chunk);

bool EqualsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace broadside::target
