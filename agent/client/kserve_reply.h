#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "agent/client/http_reply.h"

namespace broadside::agent {

/// Body bytes kept of a KServe reply. A longer one is judged by status and length alone.
constexpr size_t kKserveKeep = size_t{1} << 20;
/// Body bytes kept of any other reply: enough to know an error's text.
constexpr size_t kPlainKeep = 4096;

enum class ReplyCheck : uint8_t {
  kValid,
  kInvalid,      ///< an error under 200, no outputs, an empty tensor, sizes that do not add up
  kUnvalidated,  ///< longer than kKserveKeep or compressed: taken as valid, counted
};

/// Checks the body of a 2xx reply to a KServe v2 infer request, JSON or with the binary extension
/// (https://kserve.github.io/website/latest/modelserving/data_plane/v2_protocol/). Holds a parser
/// that is reused: one for each loop. One thread.
class KserveChecker {
 public:
  KserveChecker();
  ~KserveChecker();
  /// `reply` is complete; its body is followed by Buffer::kPadding readable bytes.
  ReplyCheck Check(const ReplyParser& reply);
  /// The same for a body alone; `inference_header_length` −1: all JSON.
  bool Valid(std::string_view body, int64_t inference_header_length);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace broadside::agent
