#include "agent/client/kserve_reply.h"

#include <simdjson.h>

namespace broadside::agent {
namespace {

namespace dom = simdjson::dom;

/// Bytes after the JSON that an output claims, or −1 when it is not a valid answer.
int64_t BinaryBytesOf(dom::element output) {
  std::string_view name;
  if (output["name"].get(name) || name.empty()) return -1;
  dom::array shape;
  if (output["shape"].get(shape)) return -1;
  for (const dom::element dim : shape) {
    int64_t length = 0;
    if (dim.get(length) || length <= 0) return -1;
  }
  int64_t bytes = 0;
  if (!output["parameters"]["binary_data_size"].get(bytes)) return bytes > 0 ? bytes : -1;
  dom::array data;
  return output["data"].get(data) || data.begin() == data.end() ? -1 : 0;
}

}  // namespace

struct KserveChecker::Impl {
  dom::parser parser;
};

KserveChecker::KserveChecker() : impl_(std::make_unique<Impl>()) {
  static_assert(Buffer::kPadding >= simdjson::SIMDJSON_PADDING);
}
KserveChecker::~KserveChecker() = default;

bool KserveChecker::Valid(std::string_view body, int64_t inference_header_length) {
  const auto size = static_cast<int64_t>(body.size());
  const int64_t json_size = inference_header_length < 0 ? size : inference_header_length;
  if (json_size == 0 && inference_header_length == 0) return size > 0;  // one raw tensor
  if (json_size <= 0 || json_size > size) return false;
  dom::element root;
  // Padding is the caller's promise, so nothing is copied; the whole text is checked as JSON.
  if (impl_->parser.parse(body.data(), static_cast<size_t>(json_size), false).get(root)) {
    return false;
  }
  dom::object object;
  if (root.get(object)) return false;
  dom::element error;
  if (!object["error"].get(error)) return false;
  dom::array outputs;
  if (object["outputs"].get(outputs) || outputs.begin() == outputs.end()) return false;
  int64_t left = size - json_size;
  for (const dom::element output : outputs) {
    const int64_t bytes = BinaryBytesOf(output);
    if (bytes < 0 || bytes > left) return false;
    left -= bytes;
  }
  return left == 0;
}

ReplyCheck KserveChecker::Check(const ReplyParser& reply) {
  if (reply.body_bytes() == 0) return ReplyCheck::kInvalid;
  if (!reply.body_complete() || reply.head().encoded) return ReplyCheck::kUnvalidated;
  return Valid(reply.body(), reply.head().inference_header_length) ? ReplyCheck::kValid
                                                                   : ReplyCheck::kInvalid;
}

}  // namespace broadside::agent
