#pragma once

#include <cstdint>
#include <string_view>

#include "agent/client/buffer.h"

namespace broadside::agent {

/// What of a reply's header block matters to a load generator.
struct ReplyHead {
  int status = 0;
  bool keep_alive = true;  ///< the connection may carry another request
  bool chunked = false;
  bool encoded = false;                  ///< Content-Encoding other than identity
  int64_t content_length = -1;           ///< −1: not given
  int64_t inference_header_length = -1;  ///< Inference-Header-Content-Length; −1: not given
  bool envoy_overloaded = false;
  bool envoy_upstream_time = false;
  bool envoy_ratelimited = false;
  bool from_envoy = false;
};

/// Reads HTTP/1.0 and 1.1 replies incrementally: fixed length, chunked with trailers, or until the
/// peer closes; 1xx are skipped. Bytes may come from anyone: every length is bounded and anything
/// malformed is an error, never a crash. One for each connection, reused; a warm one allocates
/// nothing. One thread.
class ReplyParser {
 public:
  struct Limits {
    size_t header_bytes = size_t{64} << 10;  ///< header block, and trailers
    uint64_t body_bytes = uint64_t{256} << 20;
  };
  enum class State : uint8_t {
    kMore,   ///< feed on
    kDone,   ///< the reply is complete
    kError,  ///< not HTTP, malformed, or over a limit: error() says what
  };

  ReplyParser() = default;
  explicit ReplyParser(Limits limits) : limits_(limits) {}

  /// Before each request. `keep`: body bytes to keep, the rest is counted and dropped. A reply to
  /// HEAD has no body whatever its headers say.
  void Start(bool head_request, size_t keep);
  /// Takes up to `n` bytes; `used` says how many belonged to this reply. `data` should be followed
  /// by Buffer::kPadding readable bytes when body() is to be given to simdjson.
  State Feed(const char* data, size_t n, size_t& used);
  /// The peer closed. True when that completes the reply (a body without length).
  bool FinishAtClose();

  /// A byte of the reply has come.
  bool started() const { return started_; }
  State state() const { return result_; }
  const ReplyHead& head() const { return head_; }
  /// The kept part of the body. May point into the last `data`; valid until the next Feed or Start.
  std::string_view body() const { return direct_.data() != nullptr ? direct_ : kept_.view(); }
  uint64_t body_bytes() const { return body_bytes_; }
  bool body_complete() const { return body().size() == body_bytes_; }
  std::string_view error() const { return error_; }

 private:
  enum class Step : uint8_t {
    kHead,
    kLength,
    kClose,
    kChunkSize,
    kChunkExtension,
    kChunkData,
    kChunkEnd,
    kTrailer,
    kEnd,
  };

  size_t FeedHead(const char* data, size_t n);
  size_t FeedBody(const char* data, size_t n);
  size_t FeedChunkSize(const char* data, size_t n);
  size_t FeedChunkEnd(const char* data, size_t n);
  size_t FeedTrailer(const char* data, size_t n);
  void ParseHead(std::string_view block);
  bool ParseStatusLine(std::string_view line);
  bool ParseHeader(std::string_view name, std::string_view value);
  bool ParseLength(std::string_view value, int64_t& out);
  void EndOfHead();
  void Keep(const char* data, size_t n);
  void Finish() { step_ = Step::kEnd, result_ = State::kDone; }
  void Fail(std::string_view what) { error_ = what, result_ = State::kError; }

  Limits limits_{};
  ReplyHead head_;
  Buffer partial_head_;  ///< a header block that came in pieces
  Buffer kept_;
  std::string_view direct_;  ///< the whole body, when it came in one piece
  std::string_view error_;
  uint64_t body_bytes_ = 0;
  uint64_t left_ = 0;  ///< of the body or the chunk
  size_t keep_ = 0;
  size_t head_scanned_ = 0;
  size_t line_bytes_ = 0;  ///< of a chunk's size line or the trailers so far
  int interim_ = 0;        ///< 1xx replies seen
  bool http10_ = false;
  bool close_asked_ = false, keep_asked_ = false;
  bool transfer_coded_ = false;
  bool size_digit_ = false;
  bool line_empty_ = true;
  bool head_request_ = false;
  bool started_ = false;
  Step step_ = Step::kHead;
  State result_ = State::kMore;
};

}  // namespace broadside::agent
