#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

/// A YAML (or JSON) text as a plain tree in which every node knows where it stands. What YAML
/// allows and a plan has no use for is refused here: several documents, tags, duplicate keys,
/// keys that are no scalars, deep nesting, aliases that grow the text beyond `kMaxNodes`.
namespace broadside::plan::yaml {

/// A place in a text, from 1. `source` is the number of the text: 0 is the plan, others are --set.
struct Mark {
  int source = 0;
  int line = 0;
  int column = 0;
  friend auto operator<=>(const Mark&, const Mark&) = default;
};

struct Node {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  struct Entry;

  Kind kind = Kind::kNull;
  bool quoted = false;  ///< kScalar: was written in quotes, so it is text whatever it looks like
  Mark mark;
  std::string text;            ///< kScalar
  std::vector<Node> items;     ///< kList
  std::vector<Entry> entries;  ///< kMap, in the order written, keys distinct

  const Entry* Find(std::string_view key) const;
  Entry* Find(std::string_view key);
};

struct Node::Entry {
  std::string key;
  Mark mark;
  Node value;
};

constexpr size_t kMaxBytes = 4 << 20;
constexpr size_t kMaxNodes = 200'000;
constexpr int kMaxDepth = 32;

/// True for UTF-8 without control characters other than tab and line ends.
bool IsText(std::string_view text);

/// Errors are one line that starts with "`name`:LINE:COLUMN: "; for a `source` other than 0, which
/// is one line of a command, with "`name`: ".
StatusOr<Node> Parse(std::string_view text, int source, const std::string& name);

}  // namespace broadside::plan::yaml
